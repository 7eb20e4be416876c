// Forward and backward pass of one factored linear layer, as it stands in a model: the planner chooses the
// graph. Prints one line of JSON.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <loru/loru.hpp>

namespace {

using namespace loru;

struct Options {
  Index rows = 4096, in = 1024, out = 1024, rank = 16, threads = 1, steps = 10;
};

Tensor<float> normal(const Shape& shape, std::uint32_t number) {
  Tensor<float> t(shape);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(stream.normal());
  return t;
}

/// y = x·(W + s·B·A)ᵀ for x (M, n) and A (r, n), B (m, r), W (m, n) frozen; then dx, dA and dB from dy (M,
/// m).
void run(const Options& o) {
  nn::Sequential<float> layers;
  layers.add(
      "fc", nn::Linear<float>({.in = o.in, .out = o.out, .bias = false}, rng::Stream(1, rng::Purpose::init)));
  nn::Model<float> model = layers;
  lowrank::factorize(model, {.rank = o.rank, .alpha = static_cast<double>(o.rank)});
  Variable<float> x(normal({o.rows, o.in}, 0), true);
  const Tensor<float> dy = normal({o.rows, o.out}, 1);
  auto parameters = model.trained_parameters();
  WorkerPool pool(o.threads);
  ParallelScope scope(pool);
  std::vector<double> seconds;
  for (Index step = -2; step < std::max<Index>(o.steps, 5); ++step) {
    const auto begin = std::chrono::steady_clock::now();
    x.clear_gradient();
    for (auto& p : parameters) p.value.clear_gradient();
    model(x, nn::Pass::train()).backward(dy);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    if (step >= 0) seconds.push_back(elapsed.count());
  }
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  std::string plan;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, const nn::Factored<float>& weight) {
    plan = to_string(weight.plan_rule()({o.rows, o.in, o.out, o.rank, true, false}));
  });
  std::cout << nlohmann::ordered_json{{"M", o.rows},
                                      {"n", o.in},
                                      {"m", o.out},
                                      {"r", o.rank},
                                      {"threads", o.threads},
                                      {"plan", plan},
                                      {"ms", 500.0 * (seconds[(n - 1) / 2] + seconds[n / 2])}}
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Times forward and backward pass of one factored linear layer."};
  app.add_option("--rows", o.rows, "M")->check(CLI::PositiveNumber);
  app.add_option("--in", o.in, "n")->check(CLI::PositiveNumber);
  app.add_option("--out", o.out, "m")->check(CLI::PositiveNumber);
  app.add_option("--rank", o.rank)->check(CLI::PositiveNumber);
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "timed passes, at least 5");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "linear: " << error.what() << '\n';
    return 2;
  }
}
