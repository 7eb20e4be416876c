// Low-rank kernels: products of a factored layer forward and backward in each plan, and the merge. GFLOP/s
// count what the plan computes.

#include <benchmark/benchmark.h>

#include <loru/lowrank/lowrank.hpp>

namespace {

using namespace loru;

Tensor<float> normal(const Shape& shape, std::uint32_t number, Layout layout = Layout::row_major) {
  Tensor<float> t(shape, layout);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(0.1 * stream.normal());
  return t;
}

void report_flops(benchmark::State& state, double flops) {
  state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsIterationInvariantRate,
                                                 benchmark::Counter::kIs1000);
}

/// forward() and its backward pass from dy, again and again; clears the gradients of the inputs between.
template <class F>
void time_step(benchmark::State& state, F forward, const Tensor<float>& dy,
               std::vector<Variable<float>> inputs, Plan plan, const nn::LowRankProblem& problem) {
  for (auto _ : state) {
    forward().backward(dy);
    for (auto& input : inputs) {
      benchmark::DoNotOptimize(input.gradient().data());
      input.clear_gradient();
    }
  }
  state.SetLabel(to_string(plan));
  report_flops(state, lowrank::flops(plan, problem));
}

/// Arguments: M, n, m, r, plan.
void linear(benchmark::State& state) {
  const Index rows = state.range(0), n = state.range(1), m = state.range(2), r = state.range(3);
  const auto plan = static_cast<Plan>(state.range(4));
  const Variable<float> w(normal({m, n}, 1));
  const Variable<float> x(normal({rows, n}, 0), true), a(normal({r, n}, 2), true), b(normal({m, r}, 3), true);
  time_step(state, [&] { return lowrank_linear(x, w, a, b, 1.0, plan); }, normal({rows, m}, 4), {x, a, b},
            plan, {rows, n, m, r, true, false});
}

/// Arguments: N, C, H = W, r, plan: 3×3, C to C channels, padding 1.
void conv(benchmark::State& state) {
  const Index batch = state.range(0), c = state.range(1), side = state.range(2), r = state.range(3);
  const auto plan = static_cast<Plan>(state.range(4));
  const ConvOptions o{.stride = 1, .padding = 1, .dilation = 1, .groups = 1};
  const Layout last = Layout::channels_last;
  const Shape image{batch, c, side, side};
  const Variable<float> w(normal({c, c, 3, 3}, 1, last));
  const Variable<float> x(normal(image, 0, last), true), a(normal({r, c, 3, 3}, 2, last), true),
      b(normal({c, r}, 3), true);
  time_step(state, [&] { return lowrank_conv2d(x, w, a, b, 1.0, o, plan); }, normal(image, 4, last),
            {x, a, b}, plan, {batch * side * side, 9 * c, c, r, true, true});
}

/// Arguments: n, m, r. Also counts the bytes of W, read and written.
void merge(benchmark::State& state) {
  const Index n = state.range(0), m = state.range(1), r = state.range(2);
  Tensor<float> w = normal({m, n}, 1);
  const Tensor<float> a = normal({r, n}, 2), b = normal({m, r}, 3);
  for (auto _ : state) {
    lowrank_merge(w, a, b, 1e-6);
    benchmark::DoNotOptimize(w.data());
  }
  report_flops(state, 2.0 * static_cast<double>(m * n * r));
  state.SetBytesProcessed(state.iterations() * m * n * 8);
}

const std::vector<std::int64_t> plans{0, 1, 2};

BENCHMARK(linear)
    ->ArgNames({"M", "n", "m", "r", "plan"})
    ->ArgsProduct({{32, 4096}, {1024}, {1024}, {16, 128}, plans})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(conv)
    ->ArgNames({"N", "C", "H", "r", "plan"})
    ->ArgsProduct({{32}, {64}, {32}, {32}, plans})
    ->ArgsProduct({{32}, {512}, {4}, {32, 128}, plans})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(merge)
    ->ArgNames({"n", "m", "r"})
    ->ArgsProduct({{1024, 4608}, {512}, {16, 128}})
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
