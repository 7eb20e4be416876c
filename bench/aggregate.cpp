// Aggregation of a cohort's factors: FlexLoRA's thin path, QR of the stacked factors and a small
// decomposition, and the decomposition of the whole sum, which does the same. The error counter is the
// distance of the two results.

#include <benchmark/benchmark.h>

#include <loru/lowrank/lowrank.hpp>

namespace {

using namespace loru;

Tensor<float> normal(const Shape& shape, std::uint32_t number) {
  Tensor<float> t(shape);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(stream.normal());
  return t;
}

/// Arguments: m, n, clients, rank of each.
struct Case {
  Index m, n, rank;
  std::vector<lowrank::Term<float>> terms;

  explicit Case(const benchmark::State& state) : m{state.range(0)}, n{state.range(1)}, rank{state.range(3)} {
    const auto clients = static_cast<std::uint32_t>(state.range(2));
    for (std::uint32_t k = 0; k < clients; ++k)
      terms.push_back({1.0 / clients, normal({rank, n}, 2 * k), normal({m, rank}, 2 * k + 1)});
  }
  lowrank::Factors<float> thin() const { return lowrank::truncate(lowrank::stack(terms), rank, 1.0); }
  lowrank::Factors<float> direct() const {
    const lowrank::Factors<float> all = lowrank::stack(terms);
    return lowrank::svd_factors(lowrank_compose(nn::constant<float>({m, n}, 0.0), all.a, all.b, 1.0), rank,
                                1.0);
  }
};

/// ‖B·A − B'·A'‖_F / ‖B'·A'‖_F.
double distance(const lowrank::Factors<float>& got, const lowrank::Factors<float>& expected) {
  const Tensor<float> zero = nn::constant<float>({got.b.dim(0), got.a.dim(1)}, 0.0);
  const Tensor<float> whole = lowrank_compose(zero, expected.a, expected.b, 1.0);
  return std::sqrt(squared_norm(lowrank_compose(whole, got.a, got.b, -1.0)) / squared_norm(whole));
}

void flexlora_thin(benchmark::State& state) {
  const Case c(state);
  for (auto _ : state) benchmark::DoNotOptimize(c.thin().b.data());
  state.counters["error"] = distance(c.thin(), c.direct());
}

void flexlora_direct(benchmark::State& state) {
  const Case c(state);
  for (auto _ : state) benchmark::DoNotOptimize(c.direct().b.data());
}

void layers(benchmark::internal::Benchmark* b) {
  b->ArgNames({"m", "n", "clients", "r"});
  b->Args({256, 784, 10, 8})->Args({1024, 1024, 10, 8});
  b->Unit(benchmark::kMillisecond);
}

BENCHMARK(flexlora_thin)->Apply(layers);
BENCHMARK(flexlora_direct)->Apply(layers);

}  // namespace

BENCHMARK_MAIN();
