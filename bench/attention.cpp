// Forward and backward pass of the attention over one sequence. Prints one line of JSON.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <loru/loru.hpp>

namespace {

using namespace loru;

struct Options {
  Index length = 512, width = 64, heads = 8, groups = 8, threads = 1, steps = 10;
  bool causal = false;
};

Variable<float> normal(const Shape& shape, std::uint32_t number) {
  Tensor<float> t(shape);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(stream.normal());
  return Variable<float>(t, true);
}

/// q (T, heads · width), k and v (T, groups · width); then their gradients from dy.
void run(const Options& o) {
  const Sequences sequence{{0, o.length}};
  const AttentionOptions options{o.heads, o.groups, o.causal, 1.0 / std::sqrt(static_cast<double>(o.width))};
  Variable<float> q = normal({o.length, o.heads * o.width}, 0), k = normal({o.length, o.groups * o.width}, 1),
                  v = normal({o.length, o.groups * o.width}, 2);
  const Tensor<float> dy = normal(q.shape(), 3).value();
  WorkerPool pool(o.threads);
  ParallelScope scope(pool);
  std::vector<double> seconds;
  for (Index step = -2; step < std::max<Index>(o.steps, 5); ++step) {
    const auto begin = std::chrono::steady_clock::now();
    for (auto* x : {&q, &k, &v}) x->clear_gradient();
    attention(q, k, v, sequence, sequence, options).backward(dy);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    if (step >= 0) seconds.push_back(elapsed.count());
  }
  std::sort(seconds.begin(), seconds.end());
  const std::size_t n = seconds.size();
  std::cout << nlohmann::ordered_json{{"T", o.length},
                                      {"d", o.width},
                                      {"heads", o.heads},
                                      {"groups", o.groups},
                                      {"causal", o.causal},
                                      {"threads", o.threads},
                                      {"ms", 500.0 * (seconds[(n - 1) / 2] + seconds[n / 2])}}
            << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Times forward and backward pass of the attention over one sequence."};
  app.add_option("--length", o.length, "T")->check(CLI::PositiveNumber);
  app.add_option("--width", o.width, "d of a head")->check(CLI::PositiveNumber);
  app.add_option("--heads", o.heads)->check(CLI::PositiveNumber);
  app.add_option("--groups", o.groups, "heads of keys and values")->check(CLI::PositiveNumber);
  app.add_flag("--causal", o.causal);
  app.add_option("--threads", o.threads)->check(CLI::PositiveNumber);
  app.add_option("--steps", o.steps, "timed passes, at least 5");
  CLI11_PARSE(app, argc, argv);
  try {
    run(o);
  } catch (const std::exception& error) {
    std::cerr << "attention: " << error.what() << '\n';
    return 2;
  }
}
