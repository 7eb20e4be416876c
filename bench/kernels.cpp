// Matrix products and convolutions of the library beside Eigen, a BLAS and oneDNN called alone, on one
// thread. Counters: GFLOP/s of the direct form, and its fraction of the core's measured peak (Winograd's may
// exceed 1).

#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include <loru/cpu/cpu.hpp>
#include <loru/cpu/simd.hpp>
#include <loru/linalg/eigen.hpp>

#ifdef LORU_BENCH_OPENBLAS
#include <cblas.h>
#endif
#ifdef LORU_BENCH_ONEDNN
#include <unordered_map>

#include <dnnl.hpp>
#endif

namespace {

using namespace loru;

Tensor<float> normal(const Shape& shape, std::uint32_t number, Layout layout = Layout::row_major) {
  Tensor<float> t(shape, layout);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& v : t.span()) v = static_cast<float>(stream.normal());
  return t;
}

// ---- peak ----

/// Fused multiply-adds on as many independent packets as the register file holds, in GFLOP/s: the best of ten
/// runs.
double measure_peak() {
  using P = cpu::Packet<float>;
  constexpr int chains = cpu::many_registers ? 24 : 12;
  constexpr Index steps = 400'000;
  float number = 1e-9F;
  benchmark::DoNotOptimize(number);
  const P x = cpu::pset1<P>(number);
  double best = 0.0;
  for (int run = 0; run < 10; ++run) {
    P acc[chains];
    cpu::unroll<chains>([&]<int I>() { acc[I] = cpu::pset1<P>(static_cast<float>(I)); });
    const auto begin = std::chrono::steady_clock::now();
    for (Index i = 0; i < steps; ++i)
      cpu::unroll<chains>([&]<int I>() { acc[I] = cpu::pmadd(x, acc[I], acc[I]); });
    cpu::unroll<chains>([&]<int I>() {
      alignas(64) float out[cpu::lanes<float>];
      cpu::pstore(out, acc[I]);
      benchmark::DoNotOptimize(out[0]);
    });
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    best = std::max(best, 2e-9 * chains * static_cast<double>(cpu::lanes<float> * steps) / seconds.count());
  }
  return best;
}

double peak() {
  static const double value = measure_peak();
  return value;
}

void report(benchmark::State& state, double flops) {
  using benchmark::Counter;
  state.counters["GFLOP/s"] = Counter(flops * 1e-9, Counter::kIsIterationInvariantRate, Counter::kIs1000);
  state.counters["of_peak"] =
      Counter(flops * 1e-9 / peak(), Counter::kIsIterationInvariantRate, Counter::kIs1000);
}

void fma_peak(benchmark::State& state) {
  double value = 0.0;
  for (auto _ : state) benchmark::DoNotOptimize(value = std::max(value, measure_peak()));
  state.counters["GFLOP/s"] = value;
}

// ---- products ----

/// C = A·Bᵀ with A (M, k) and B (N, k): a layer's forward pass.
struct Product {
  Index m, n, k;
  Tensor<float> a, b, c;
  explicit Product(const benchmark::State& state)
      : m{state.range(0)},
        n{state.range(1)},
        k{state.range(2)},
        a{normal({m, k}, 0)},
        b{normal({n, k}, 1)},
        c{Shape{m, n}} {}
  double flops() const { return 2.0 * static_cast<double>(m * n * k); }
};

template <class F>
void time_product(benchmark::State& state, const Product& p, F multiply) {
  for (auto _ : state) {
    multiply();
    benchmark::DoNotOptimize(p.c.data());
  }
  report(state, p.flops());
}

void gemm_loru(benchmark::State& state) {
  Product p(state);
  time_product(state, p, [&] {
    cpu::gemm<float>(Op::none, Op::transpose, p.m, p.n, p.k, 1.0F, {p.a.data(), p.k}, {p.b.data(), p.k}, 0.0F,
                     {p.c.data(), p.n});
  });
}

void gemm_eigen(benchmark::State& state) {
  Product p(state);
  const auto a = linalg::map<float>(std::as_const(p.a).data(), p.m, p.k, p.k),
             b = linalg::map<float>(std::as_const(p.b).data(), p.n, p.k, p.k);
  auto c = linalg::map<float>(p.c.data(), p.m, p.n, p.n);
  time_product(state, p, [&] { c.noalias() = a * b.transpose(); });
}

#ifdef LORU_BENCH_OPENBLAS
void gemm_openblas(benchmark::State& state) {
  Product p(state);
  const auto m = static_cast<int>(p.m), n = static_cast<int>(p.n), k = static_cast<int>(p.k);
  time_product(state, p, [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1.0F, p.a.data(), k, p.b.data(), k, 0.0F,
                p.c.data(), n);
  });
}
#endif

// ---- convolutions ----

/// N = 32 images, C to K channels, H×H, a square kernel, padding of half its size.
struct Convolution {
  Index c, k, h, kernel;
  ConvOptions o;
  Tensor<float> x, w, dy;
  explicit Convolution(const benchmark::State& state)
      : c{state.range(0)},
        k{state.range(1)},
        h{state.range(2)},
        kernel{state.range(4)},
        o{state.range(3), kernel / 2, 1, 1},
        x{normal({32, c, h, h}, 0, Layout::channels_last)},
        w{normal({k, c, kernel, kernel}, 1, Layout::channels_last)},
        dy{normal(conv_shape(x.shape(), w.shape(), o), 2, Layout::channels_last)} {}
  double flops() const { return 2.0 * static_cast<double>(dy.size() * c * kernel * kernel); }
};

template <class F>
void time_convolution(benchmark::State& state, F pass) {
  const Convolution p(state);
  for (auto _ : state) {
    const Tensor<float> result = pass(p);
    benchmark::DoNotOptimize(result.data());
  }
  report(state, p.flops());
}

void conv_forward_loru(benchmark::State& state) {
  time_convolution(state, [](const Convolution& p) { return conv2d(p.x, p.w, p.o); });
}
void conv_dx_loru(benchmark::State& state) {
  time_convolution(state,
                   [](const Convolution& p) { return conv2d_backward_input(p.dy, p.w, p.x.shape(), p.o); });
}
void conv_dw_loru(benchmark::State& state) {
  time_convolution(state,
                   [](const Convolution& p) { return conv2d_backward_weight(p.dy, p.x, p.w.shape(), p.o); });
}

#ifdef LORU_BENCH_ONEDNN
using Memory = dnnl::memory;

/// oneDNN's best of its direct and automatic algorithms, in the layouts it chooses for itself; reorders are
/// not timed.
template <class Make>
void time_onednn(benchmark::State& state, Make make) {
  using namespace dnnl;
  const Convolution p(state);
  const engine cpu(engine::kind::cpu, 0);
  stream queue(cpu);
  const auto any = [](const Shape& s) {
    return Memory::desc({s[0], s[1], s[2], s[3]}, Memory::data_type::f32, Memory::format_tag::any);
  };
  const Memory::desc x = any(p.x.shape()), w = any(p.w.shape()), y = any(p.dy.shape());
  const Memory::dims strides{p.o.stride, p.o.stride}, padding{p.o.padding, p.o.padding};
  struct Candidate {
    primitive pass;
    std::unordered_map<int, Memory> arguments;
  };
  std::vector<Candidate> candidates;
  for (const algorithm a : {algorithm::convolution_direct, algorithm::convolution_auto}) {
    const convolution_forward::desc forward(prop_kind::forward_training, a, x, w, y, strides, padding,
                                            padding);
    const convolution_forward::primitive_desc hint(forward, cpu);
    Candidate c;
    make(cpu, a, hint, x, w, y, strides, padding, c.pass, c.arguments);
    for (auto& [which, buffer] : c.arguments) {
      auto* data = static_cast<float*>(buffer.get_data_handle());
      std::fill(data, data + buffer.get_desc().get_size() / sizeof(float), 0.5F);
    }
    candidates.push_back(std::move(c));
  }
  const auto run = [&](Candidate& c) {
    c.pass.execute(queue, c.arguments);
    queue.wait();
  };
  std::size_t best = 0;
  std::array<double, 2> seconds{1e9, 1e9};
  for (int repeat = 0; repeat < 6; ++repeat)
    for (std::size_t i = 0; i < 2; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run(candidates[i]);
      seconds[i] = std::min(seconds[i],
                            std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
  if (seconds[1] < seconds[0]) best = 1;
  for (auto _ : state) run(candidates[best]);
  report(state, p.flops());
}

void conv_forward_onednn(benchmark::State& state) {
  using namespace dnnl;
  time_onednn(state, [](const engine& cpu, algorithm, const auto& hint, auto&, auto&, auto&, auto&, auto&,
                        primitive& pass, auto& arguments) {
    pass = convolution_forward(hint);
    arguments = {{DNNL_ARG_SRC, Memory(hint.src_desc(), cpu)},
                 {DNNL_ARG_WEIGHTS, Memory(hint.weights_desc(), cpu)},
                 {DNNL_ARG_DST, Memory(hint.dst_desc(), cpu)}};
  });
}

void conv_dx_onednn(benchmark::State& state) {
  using namespace dnnl;
  time_onednn(state, [](const engine& cpu, algorithm a, const auto& hint, auto& x, auto& w, auto& y,
                        auto& strides, auto& padding, primitive& pass, auto& arguments) {
    const convolution_backward_data::desc desc(a, x, w, y, strides, padding, padding);
    const convolution_backward_data::primitive_desc chosen(desc, cpu, hint);
    pass = convolution_backward_data(chosen);
    arguments = {{DNNL_ARG_DIFF_SRC, Memory(chosen.diff_src_desc(), cpu)},
                 {DNNL_ARG_WEIGHTS, Memory(chosen.weights_desc(), cpu)},
                 {DNNL_ARG_DIFF_DST, Memory(chosen.diff_dst_desc(), cpu)}};
  });
}

void conv_dw_onednn(benchmark::State& state) {
  using namespace dnnl;
  time_onednn(state, [](const engine& cpu, algorithm a, const auto& hint, auto& x, auto& w, auto& y,
                        auto& strides, auto& padding, primitive& pass, auto& arguments) {
    const convolution_backward_weights::desc desc(a, x, w, y, strides, padding, padding);
    const convolution_backward_weights::primitive_desc chosen(desc, cpu, hint);
    pass = convolution_backward_weights(chosen);
    arguments = {{DNNL_ARG_SRC, Memory(chosen.src_desc(), cpu)},
                 {DNNL_ARG_DIFF_WEIGHTS, Memory(chosen.diff_weights_desc(), cpu)},
                 {DNNL_ARG_DIFF_DST, Memory(chosen.diff_dst_desc(), cpu)}};
  });
}
#endif

void products(benchmark::internal::Benchmark* b) {
  b->ArgNames({"M", "N", "K"})->Unit(benchmark::kMillisecond)->MinTime(0.2);
  for (const auto& [m, n, k] : std::initializer_list<std::array<std::int64_t, 3>>{{1024, 1024, 1024},
                                                                                  {4096, 1024, 1024},
                                                                                  {32, 512, 3136},
                                                                                  {4096, 16, 1024},
                                                                                  {4096, 1024, 16},
                                                                                  {2048, 32, 2304},
                                                                                  {512, 512, 512},
                                                                                  {10, 10, 784}})
    b->Args({m, n, k});
}

void convolutions(benchmark::internal::Benchmark* b) {
  b->ArgNames({"C", "K", "H", "stride", "kernel"})->Unit(benchmark::kMillisecond)->MinTime(0.2);
  for (const auto& [c, k, h, stride, kernel] :
       std::initializer_list<std::array<std::int64_t, 5>>{{64, 64, 32, 1, 3},
                                                          {128, 128, 16, 1, 3},
                                                          {256, 256, 8, 1, 3},
                                                          {512, 512, 4, 1, 3},
                                                          {64, 128, 32, 2, 3},
                                                          {128, 256, 16, 2, 3},
                                                          {256, 512, 8, 2, 3},
                                                          {64, 128, 32, 2, 1},
                                                          {256, 512, 8, 2, 1},
                                                          {32, 64, 14, 1, 5},
                                                          {3, 64, 32, 1, 3},
                                                          {1, 32, 28, 1, 5}})
    b->Args({c, k, h, stride, kernel});
}

BENCHMARK(fma_peak)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK(gemm_loru)->Apply(products);
BENCHMARK(gemm_eigen)->Apply(products);
#ifdef LORU_BENCH_OPENBLAS
BENCHMARK(gemm_openblas)->Apply(products);
#endif
BENCHMARK(conv_forward_loru)->Apply(convolutions);
BENCHMARK(conv_dx_loru)->Apply(convolutions);
BENCHMARK(conv_dw_loru)->Apply(convolutions);
#ifdef LORU_BENCH_ONEDNN
BENCHMARK(conv_forward_onednn)->Apply(convolutions);
BENCHMARK(conv_dx_onednn)->Apply(convolutions);
BENCHMARK(conv_dw_onednn)->Apply(convolutions);
#endif

}  // namespace

int main(int argc, char** argv) {
#ifdef LORU_BENCH_OPENBLAS
  openblas_set_num_threads(1);
  benchmark::AddCustomContext("openblas",
                              std::string(openblas_get_config()) + ", kernels " + openblas_get_corename());
#endif
#ifdef LORU_BENCH_ONEDNN
  const char* threads = std::getenv("OMP_NUM_THREADS");
  if (!threads || std::string_view(threads) != "1") {
    std::cerr << "kernels: expected OMP_NUM_THREADS=1, so that oneDNN runs on one thread\n";
    return 2;
  }
  const dnnl_version_t* v = dnnl_version();
  benchmark::AddCustomContext(
      "onednn", std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch));
#endif
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
