// How good the planner's choices are: times every plan of linear layers and of the residual networks'
// convolutions, and compares the plan that the planner takes with the fastest.

#include <CLI/CLI.hpp>

#include <fstream>
#include <iomanip>
#include <iostream>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

#include <loru/loru.hpp>

#include "plan_step.hpp"

namespace {

using namespace loru;
using namespace loru_bench;

struct Options {
  double seconds = 300.0;
  std::string json, rates;
};

/// One product to time, by name.
struct Point {
  std::string name;
  LowRankProblem problem;
};

void add_linear(std::vector<Point>& points) {
  for (Index rows : {8, 32, 128, 512, 2048})
    for (auto [n, m] : {std::pair<Index, Index>{784, 200}, {512, 512}, {3136, 512}, {1024, 1024}})
      for (Index r : {4, 16, 32, 128})
        points.push_back({"linear", {.rows = rows, .in = n, .out = m, .rank = r}});
  for (Index r : {16, 128})
    points.push_back(
        {"linear, no dx", {.rows = 32, .in = 3136, .out = 512, .rank = r, .input_gradient = false}});
}

/// The factored convolutions of a residual network, each shape once.
void add_network(std::vector<Point>& points, const std::string& model, Index channels, Index side, Index r) {
  nn::Model<float> net =
      nn::build<float>(model, {.channels = channels, .height = side, .width = side, .classes = 10});
  lowrank::factorize(net, {.rank = r, .layers = {"layer*"}, .small_layers = lowrank::SmallLayers::factor});
  std::set<std::tuple<Index, Index, Index, Index>> seen;
  for (const auto& [layer, problem, plan] : lowrank::explain(net, {32, channels, side, side}))
    if (seen.insert({problem.rows, problem.in, problem.out, problem.stride}).second)
      points.push_back({concat(model, ' ', layer), problem});
}

std::vector<Point> all_points() {
  std::vector<Point> points;
  add_linear(points);
  for (Index r : {32, 128}) {
    add_network(points, "resnet10", 1, 28, r);
    add_network(points, "resnet18", 3, 32, r);
  }
  return points;
}

struct Measured {
  Point point;
  std::array<double, plans.size()> seconds;
  Plan best, chosen;
  double ratio;  // of the chosen plan's time to the best
};

Measured measure(const Point& point, double budget, const lowrank::Rates& rates) {
  const auto seconds = time_plans(point.problem, budget);
  const auto least = std::min_element(seconds.begin(), seconds.end());
  const Plan chosen = lowrank::choose(point.problem, rates);
  return {point, seconds, plans[static_cast<std::size_t>(least - seconds.begin())], chosen,
          seconds[static_cast<std::size_t>(chosen)] / *least};
}

void print(const Measured& m) {
  const LowRankProblem& p = m.point.problem;
  std::cout << std::left << std::setw(32) << m.point.name << std::right << std::setw(6) << p.rows
            << std::setw(6) << p.in << std::setw(6) << p.out << std::setw(5) << p.rank << std::fixed
            << std::setprecision(3);
  for (double s : m.seconds) std::cout << std::setw(10) << 1e3 * s;
  std::cout << "  " << std::left << std::setw(14) << to_string(m.best) << std::setw(14) << to_string(m.chosen)
            << std::right << std::setw(6) << m.ratio << (m.ratio > 1.05 ? " *" : "") << std::endl;
}

nlohmann::ordered_json to_json(const Measured& m) {
  const LowRankProblem& p = m.point.problem;
  nlohmann::ordered_json json{{"name", m.point.name},
                              {"rows", p.rows},
                              {"in", p.in},
                              {"out", p.out},
                              {"rank", p.rank},
                              {"input_gradient", p.input_gradient},
                              {"convolution", p.convolution},
                              {"kernel", p.kernel},
                              {"stride", p.stride},
                              {"padding", p.padding},
                              {"height", p.height},
                              {"width", p.width}};
  for (std::size_t i = 0; i < plans.size(); ++i)
    json[concat(to_string(plans[i]), "_ms")] = 1e3 * m.seconds[i];
  json["best"] = to_string(m.best);
  json["auto"] = to_string(m.chosen);
  json["ratio"] = m.ratio;
  return json;
}

void run(const Options& o) {
  const std::vector<Point> points = all_points();
  lowrank::Rates rates = device_rates(Cpu{});
  if (!o.rates.empty()) rates = lowrank::parse_rates(io::read_text(o.rates), o.rates, rates);
  std::cout << std::left << std::setw(32) << "layer" << std::right << std::setw(6) << "M" << std::setw(6)
            << "n" << std::setw(6) << "m" << std::setw(5) << "r";
  for (Plan plan : plans) std::cout << std::setw(10) << std::string(to_string(plan)).substr(0, 9);
  std::cout << "  " << std::left << std::setw(14) << "best (ms)" << std::setw(14) << "auto" << " ratio\n";
  nlohmann::ordered_json lines = nlohmann::ordered_json::array();
  Index good = 0;
  double worst = 1.0;
  for (const Point& point : points) {
    const Measured m = measure(point, o.seconds / static_cast<double>(points.size()), rates);
    print(m);
    lines.push_back(to_json(m));
    good += m.ratio <= 1.05;
    worst = std::max(worst, m.ratio);
  }
  const double share = static_cast<double>(good) / static_cast<double>(points.size());
  std::cout << "auto is within 5 % of the best plan in " << good << " of " << points.size() << " points ("
            << std::setprecision(1) << 100.0 * share << " %); worst ratio " << std::setprecision(3) << worst
            << '\n';
  if (o.json.empty()) return;
  std::ofstream file(o.json);
  file << nlohmann::ordered_json{{"points", points.size()},
                                 {"share", share},
                                 {"worst", worst},
                                 {"measured", lines}}
              .dump(1)
       << '\n';
  require<IoError>(file.good(), o.json, ": cannot write");
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{
      "Times every plan of many factored layers on one thread, and how near the planner's choice is."};
  app.add_option("--seconds", o.seconds, "about how long to measure in all")->check(CLI::PositiveNumber);
  app.add_option("--rates", o.rates, "a file that calibrate wrote; default: the shipped table");
  app.add_option("--json", o.json, "a file for every time measured");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "planner: " << error.what() << '\n';
    return 2;
  }
}
