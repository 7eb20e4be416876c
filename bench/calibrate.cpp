// Measures this machine's rates for the planner: times every plan of a set of factored layers and finds the
// rates that explain the times best.

#include <CLI/CLI.hpp>

#include <fstream>
#include <iostream>

#include <loru/lowrank/planner.hpp>

#include "plan_step.hpp"

namespace {

using namespace loru;
using namespace loru_bench;
using lowrank::Rates, cost::Work;

struct Options {
  std::string out = "rates.toml";
  double seconds = 40.0;
  bool cpp = false;
};

LowRankProblem convolution(Index images, Index c, Index m, Index r, Index kernel, Index stride, Index side) {
  const Index out = window_extent("calibrate", side, kernel, stride, kernel / 2, 1);
  return {.rows = images * out * out,
          .in = c * kernel * kernel,
          .out = m,
          .rank = r,
          .convolution = true,
          .kernel = kernel,
          .stride = stride,
          .padding = kernel / 2,
          .height = side,
          .width = side};
}

/// Layers as they occur in practice: dense ones of few and many rows, and convolutions of every way to
/// compute them.
std::vector<LowRankProblem> problems() {
  std::vector<LowRankProblem> all;
  for (Index r : {8, 16, 24, 64, 128}) {
    for (Index rows : {10, 32, 100, 256, 1024})
      for (auto [n, m] : {std::pair<Index, Index>{256, 256}, {800, 500}, {2048, 384}})
        all.push_back({.rows = rows, .in = n, .out = m, .rank = r});
    for (Index kernel : {1, 3})
      for (Index stride : {1, 2})
        for (auto [c, side] : {std::pair<Index, Index>{64, 28}, {128, 14}, {256, 8}, {384, 4}})
          if (kernel == 3 || stride == 2)
            all.push_back(convolution(16, c, stride * c, r, kernel, stride, side));
    all.push_back(convolution(16, 32, 64, r, 5, 1, 14));
    all.push_back(convolution(16, 4, 32, r, 3, 1, 28));
  }
  return all;
}

/// Σ of weighted rows (coefficients · seconds per unit ≈ value), as normal equations.
class LeastSquares {
 public:
  void add(const Work& coefficients, double value, double weight) {
    for (std::size_t i = 0; i < n; ++i) {
      right_[i] += weight * coefficients[i] * value;
      for (std::size_t j = 0; j < n; ++j) matrix_[i][j] += weight * coefficients[i] * coefficients[j];
    }
  }

  /// The minimum with every x at least its bound, by coordinate descent.
  Work solve(Work x, const Work& least) const {
    for (int sweep = 0; sweep < 20000; ++sweep)
      for (std::size_t i = 0; i < n; ++i) {
        double residual = right_[i];
        for (std::size_t j = 0; j < n; ++j) residual -= matrix_[i][j] * x[j];
        x[i] = std::max(least[i], x[i] + residual / matrix_[i][i]);
      }
    return x;
  }

 private:
  static constexpr std::size_t n = cost::kind::count;
  std::array<double, n> right_{};
  std::array<std::array<double, n>, n> matrix_{};
};

struct Measured {
  LowRankProblem problem;
  std::array<double, plans.size()> seconds;
};

/// Rates whose predictions come nearest to the measured times. Each counts relative to itself; differences
/// between the plans of a layer, which decide, count more; where nothing is known the shipped table holds.
Rates fit(const std::vector<Measured>& measured) {
  const Rates shipped = device_rates(Cpu{});
  constexpr double of_differences = 4.0, of_shipped = 0.05;
  Work unit{}, start{}, least{};  // in multiples of the shipped seconds per unit
  for (std::size_t i = 0; i < unit.size(); ++i) {
    unit[i] = 1.0 / (shipped.of[i] * cost::rate_unit(i));
    start[i] = 1.0;
    least[i] = 0.02;
  }
  LeastSquares equations;
  for (const auto& [problem, seconds] : measured) {
    std::array<Work, plans.size()> work{};
    for (std::size_t p = 0; p < plans.size(); ++p) {
      work[p] = step_work(Cpu{}, plans[p], problem);
      for (std::size_t i = 0; i < unit.size(); ++i) work[p][i] *= unit[i] / seconds[p];
      equations.add(work[p], 1.0, 1.0);
    }
    for (std::size_t p = 0; p < plans.size(); ++p)
      for (std::size_t q = 0; q < p; ++q) {
        const double longer = std::max(seconds[p], seconds[q]);
        Work difference{};
        for (std::size_t i = 0; i < unit.size(); ++i)
          difference[i] = (work[p][i] * seconds[p] - work[q][i] * seconds[q]) / longer;
        equations.add(difference, (seconds[p] - seconds[q]) / longer, of_differences);
      }
  }
  for (std::size_t i = 0; i < unit.size(); ++i) {
    Work alone{};
    alone[i] = 1.0;
    equations.add(alone, 1.0, of_shipped);
  }
  const Work x = equations.solve(start, least);
  Rates rates = shipped;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double digits = std::pow(10.0, 2.0 - std::floor(std::log10(shipped.of[i] / x[i])));
    rates.of[i] = std::round(shipped.of[i] / x[i] * digits) / digits;
  }
  return rates;
}

/// How the predictions compare with what was measured, in words.
std::string quality(const std::vector<Measured>& measured, const Rates& rates) {
  std::vector<double> errors;
  int good = 0;
  for (const auto& [problem, seconds] : measured) {
    for (std::size_t p = 0; p < plans.size(); ++p)
      errors.push_back(std::abs(lowrank::seconds(plans[p], problem, rates) / seconds[p] - 1.0));
    const double taken = seconds[static_cast<std::size_t>(lowrank::choose(problem, rates))];
    good += taken <= 1.05 * *std::min_element(seconds.begin(), seconds.end());
  }
  return concat("within 5 % of the best plan in ", good, " of ", measured.size(),
                " layers; median error of a prediction ", std::round(100.0 * median(errors)), " %");
}

void run(const Options& o) {
  std::vector<Measured> measured;
  const std::vector<LowRankProblem> all = problems();
  for (const LowRankProblem& problem : all)
    measured.push_back({problem, time_plans(problem, o.seconds / static_cast<double>(all.size()))});
  const Rates rates = fit(measured);
  if (o.cpp) {
    std::cout << "{{";
    for (std::size_t i = 0; i < rates.of.size(); ++i) std::cout << (i == 0 ? "" : ", ") << rates.of[i];
    std::cout << "}}\n";
  }
  const std::string text = concat("# Rates of this machine, one thread: ", quality(measured, rates), ".\n",
                                  lowrank::to_toml(rates));
  std::ofstream file(o.out);
  file << text << std::flush;
  require<IoError>(file.good(), o.out, ": cannot write");
  std::cerr << text << "shipped table: " << quality(measured, device_rates(Cpu{})) << "\nwritten to " << o.out
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Measures this machine's rates for the planner and writes them as TOML."};
  app.add_option("OUT", o.out, "the file to write; default: rates.toml");
  app.add_option("--seconds", o.seconds, "about how long to measure in all")->check(CLI::PositiveNumber);
  app.add_flag("--cpp", o.cpp, "also prints the table as include/loru/cpu/rates.hpp holds it");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "calibrate: " << error.what() << '\n';
    return 2;
  }
}
