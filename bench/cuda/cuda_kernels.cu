// The low-rank kernels on a CUDA device beside cuBLAS doing the same work unfused: the dense product alone,
// and the base with two thin products; then merges, convolutions and attention. One line of JSON a
// measurement; the first tells the device, its copy bandwidth and its dense throughput, of which the others
// name their fraction. Where cuBLAS cannot be loaded, loru's own kernels are timed alone.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include <loru/core/philox.hpp>
#include <loru/cuda/cuda.hpp>
#include <loru/cuda/kernels/compiled.cuh>
#include <loru/cuda/ops/kernels.cuh>
#include <loru/cuda/ops/map.cuh>

#include "timer.hpp"

namespace {

using namespace loru_bench;
using loru::cuda::Array;
using loru::cuda::Matrix;

/// x[i] = a random number, uniform in [-1, 1).
template <class T>
struct Noise {
  T* x;
  std::uint32_t tensor;
  __device__ void operator()(Index i) const {
    std::uint32_t word[4][1] = {
        {static_cast<std::uint32_t>(i)}, {static_cast<std::uint32_t>(i >> 32)}, {tensor}, {0}};
    rng::philox(word, 1);
    x[i] = loru::cuda::from_float<T>(static_cast<float>(word[0][0]) * 0x1p-31f - 1.0f);
  }
};

/// Random numbers in every tensor, others in each: zeros would let a device run at a higher clock.
template <class... T>
void randomise(Array<T>&... all) {
  static std::uint32_t tensor = 0;
  (loru::cuda::detail::for_each("noise", all.size(), Noise<T>{all.data(), ++tensor}), ...);
}

/// C = A·B, or A·Bᵀ, or Aᵀ·B by cuBLAS on row-major matrices; sums in float.
template <class Math, class C>
void product(bool transpose_a, bool transpose_b, float alpha, const Matrix<const typename Math::Element>& a,
             const Matrix<const typename Math::Element>& b, float beta, const Matrix<C>& c) {
  constexpr bool half = sizeof(typename Math::Element) == 2;
  const cudaDataType_t in = half ? CUDA_R_16BF : CUDA_R_32F, out = sizeof(C) == 2 ? CUDA_R_16BF : CUDA_R_32F;
  const cublasComputeType_t compute =
      !half && Math::tensor_cores ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  const auto op = [](bool t) { return t ? CUBLAS_OP_T : CUBLAS_OP_N; };
  LORU_CUBLAS_CHECK(cublasGemmEx(loru::cuda::blas().handle(), op(transpose_b), op(transpose_a), c.cols,
                                 c.rows, transpose_a ? a.rows : a.cols, &alpha, b.data, in, b.ld, a.data, in,
                                 a.ld, &beta, c.data, out, c.ld, compute, CUBLAS_GEMM_DEFAULT));
}

/// Matrices of a layer: x (M, n), W (m, n), A (r, n), B (m, r), y, dy (M, m), S, dS (M, r), dx (M, n), dA,
/// dB.
template <class T>
struct Layer {
  int M, m, n, r;
  Array<T> x, W, A, B, y, dy, S, dS, dx;
  Array<float> dA, dB, workspace;

  Layer(int rows, int out, int in, int rank)
      : M{rows},
        m{out},
        n{in},
        r{rank},
        x({M, n}),
        W({m, n}),
        A({r, n}),
        B({m, r}),
        y({M, m}),
        dy({M, m}),
        S({M, r}),
        dS({M, r}),
        dx({M, n}),
        dA({r, n}),
        dB({m, r}),
        workspace({loru::cuda::backward_workspace(M, m, r, sizeof(T) == 2,
                                                  loru::cuda::device_properties().multiprocessors) +
                   1}) {
    randomise(x, W, A, B, y, dy, S, dS, dx);
  }

  template <class E>
  static Matrix<E> view(Array<E>& t) {
    return {t.data(), static_cast<int>(t.dim(0)), static_cast<int>(t.dim(1)), static_cast<int>(t.dim(1))};
  }
  template <class E>
  static Matrix<const E> read(Array<E>& t) {
    return view(t).read();
  }
};

struct Bench {
  Timer timer;
  int rows;
  bool cublas;             // whether it is there
  double bandwidth = 0.0;  // bytes a second of a copy, read and written

  void print(const char* work, const char* math, int m, int n, int r, const std::string& how, double us,
             double flops, double dense) const {
    const nlohmann::json line{{"work", work},
                              {"math", math},
                              {"M", rows},
                              {"m", m},
                              {"n", n},
                              {"r", r},
                              {"how", how},
                              {"us", us},
                              {"tflops", flops / us * 1e-6},
                              {"of_dense", flops / (us * 1e-6) / dense}};
    std::puts(line.dump().c_str());
  }
};

template <class Math>
void forward(Bench& bench, const char* math, Layer<typename Math::Element>& l, double dense) {
  using T = typename Math::Element;
  using L = Layer<T>;
  const double flops = 2.0 * l.M * (1.0 * l.n * l.m + 1.0 * l.r * (l.n + l.m));
  const loru::cuda::Client<T> client{L::read(l.A), L::read(l.B), 1.0f};
  const loru::cuda::Queue queue = loru::cuda::detail::queue();
  const auto time = [&](const char* how, double count, auto f) {
    bench.print("forward", math, l.m, l.n, l.r, how, bench.timer.microseconds(f), count, dense);
  };
  if (bench.cublas) {
    time("cublas dense", 2.0 * l.M * l.n * l.m,
         [&] { product<Math>(false, true, 1, L::read(l.x), L::read(l.W), 0, L::view(l.y)); });
    time("cublas unfused", flops, [&] {
      product<Math>(false, true, 1, L::read(l.x), L::read(l.W), 0, L::view(l.y));
      product<Math>(false, true, 1, L::read(l.x), L::read(l.A), 0, L::view(l.S));
      product<Math>(false, true, 1, L::read(l.S), L::read(l.B), 1, L::view(l.y));
    });
  }
  for (const auto form : {loru::cuda::ForwardForm::one_pass, loru::cuda::ForwardForm::split})
    time(form == loru::cuda::ForwardForm::one_pass ? "loru one pass" : "loru split", flops, [&] {
      loru::cuda::lora_forward<Math>(form, L::read(l.x), L::read(l.W), client, static_cast<const T*>(nullptr),
                                     false, L::view(l.y), L::view(l.S), queue);
    });
}

template <class Math>
void backward(Bench& bench, const char* math, Layer<typename Math::Element>& l, double dense) {
  using T = typename Math::Element;
  using L = Layer<T>;
  const double flops = 2.0 * l.M * (1.0 * l.n * l.m + 2.0 * l.r * (l.n + l.m));
  const auto time = [&](const char* how, auto f) {
    bench.print("backward", math, l.m, l.n, l.r, how, bench.timer.microseconds(f), flops, dense);
  };
  if (bench.cublas)
    time("cublas unfused", [&] {
      product<Math>(false, false, 1, L::read(l.dy), L::read(l.W), 0, L::view(l.dx));
      product<Math>(false, false, 1, L::read(l.dy), L::read(l.B), 0, L::view(l.dS));
      product<Math>(false, false, 1, L::read(l.dS), L::read(l.A), 1, L::view(l.dx));
      product<Math>(true, false, 1, L::read(l.dy), L::read(l.S), 0, L::view(l.dB));
      product<Math>(true, false, 1, L::read(l.dS), L::read(l.x), 0, L::view(l.dA));
    });
  using loru::cuda::BackwardForm;
  const std::size_t block_memory = loru::cuda::device_shared_memory().block;
  const loru::cuda::Queue queue = loru::cuda::detail::queue();
  for (const auto form : {BackwardForm::one_pass, BackwardForm::split, BackwardForm::apart}) {
    if (loru::cuda::fitting_form<Math>(form, l.r, block_memory) != form) continue;
    const char* const how = form == BackwardForm::one_pass ? "loru one pass"
                            : form == BackwardForm::split  ? "loru split"
                                                           : "loru apart";
    time(how, [&] {
      loru::cuda::lora_backward<Math>(loru::cuda::Backward<T>{L::read(l.dy),
                                                              L::read(l.x),
                                                              L::read(l.W),
                                                              {L::read(l.A), L::read(l.B), 1.0f},
                                                              L::read(l.S),
                                                              L::view(l.dx),
                                                              L::view(l.dS),
                                                              L::view(l.dA),
                                                              L::view(l.dB)},
                                      form, l.workspace.data(), queue);
    });
  }
}

/// FLOP/s of cuBLAS on (8192, 4096) x (4096, 4096); NaN, which JSON writes as null, without it.
template <class Math>
double dense_throughput(Bench& bench) {
  if (!bench.cublas) return std::numeric_limits<double>::quiet_NaN();
  using L = Layer<typename Math::Element>;
  L l(8192, 4096, 4096, 8);
  const double us = bench.timer.microseconds(
      [&] { product<Math>(false, true, 1, L::read(l.x), L::read(l.W), 0, L::view(l.y)); });
  return 2.0 * l.M * l.m * l.n / (us * 1e-6);
}

template <class Math>
void passes(Bench& bench, const char* math) {
  const double dense = dense_throughput<Math>(bench);
  for (const int n : {1024, 4096})
    for (const int r : {8, 16, 64}) {
      Layer<typename Math::Element> layer(bench.rows, n, n, r);
      forward<Math>(bench, math, layer, dense);
      backward<Math>(bench, math, layer, dense);
    }
}

/// W += s·B·A, as a fraction of the time that copying W takes.
void merges(Bench& bench) {
  for (const int n : {1024, 4096})
    for (const Index r : {8, 16, 64}) {
      Array<float> W({n, n}), A({r, n}), B({n, r});
      randomise(W, A, B);
      const auto line = [&](const char* how, double us) {
        const double bytes = 4.0 * (2.0 * n * n + 2.0 * static_cast<double>(r) * n);
        const nlohmann::json j{
            {"work", "merge"}, {"math", "float"},
            {"m", n},          {"n", n},
            {"r", r},          {"how", how},
            {"us", us},        {"of_copy_bandwidth", bytes / (us * 1e-6) / bench.bandwidth}};
        std::puts(j.dump().c_str());
      };
      line("loru", bench.timer.microseconds([&] { lowrank_merge(W, A, B, 1.0); }));
      if (bench.cublas)
        line("cublas", bench.timer.microseconds([&] { matmul_into(W, 1.0f, B, A, {}, 1.0f); }));
    }
}

/// Convolutions of ResNet-18 on 32 images of 3x32x32, dense and with factors of rank 16, beside cuBLAS
/// multiplying the same matrices with the windows already in memory.
void convolutions(Bench& bench, loru::cuda::Precision precision, const char* math) {
  struct Case {
    Index in, out, extent, stride;
  };
  constexpr Index r = 16;
  constexpr auto last = Layout::channels_last;
  loru::cuda::set_precision(precision);
  for (const auto& [in, out, extent, stride] :
       {Case{3, 64, 32, 1}, Case{64, 64, 32, 1}, Case{64, 128, 32, 2}, Case{128, 128, 16, 1},
        Case{128, 256, 16, 2}, Case{256, 256, 8, 1}, Case{256, 512, 8, 2}, Case{512, 512, 4, 1}}) {
    const ConvOptions o{.stride = stride, .padding = 1};
    Array<float> x({32, in, extent, extent}, last), w({out, in, 3, 3}, last), a({r, in, 3, 3}, last),
        b({out, r, 1, 1});
    randomise(x, w, a, b);
    const auto [y, low] = lowrank_conv2d_forward(x, w, a, b, 1.0, o);
    const Index pixels = low.dim(0), window = in * 9;
    Array<float> windows({pixels, window}), product({pixels, out}), gradient({pixels, window}),
        weight({out, window});
    randomise(windows);
    const double dense = 2.0 * static_cast<double>(pixels * window * out),
                 thin = 2.0 * static_cast<double>(pixels * r * (window + out));
    const auto line = [&](const char* pass, const char* how, double flops, auto f) {
      const double us = bench.timer.microseconds(f);
      const nlohmann::json j{{"work", pass}, {"math", math},     {"in", in},
                             {"out", out},   {"extent", extent}, {"stride", stride},
                             {"how", how},   {"us", us},         {"tflops", flops / us * 1e-6}};
      std::puts(j.dump().c_str());
    };
    const auto rows = y.as_matrix(pixels), matrix = w.as_matrix(out);
    line("conv forward", "loru", dense, [&] { conv2d(x, w, o); });
    const auto on_windows = [&](const char* pass, auto f) {
      if (bench.cublas) line(pass, "cublas on windows", dense, f);
    };
    on_windows("conv forward",
               [&] { matmul_into(product, 1.0f, windows, matrix, {.b = Op::transpose}, 0.0f); });
    line("conv dx", "loru", dense, [&] { conv2d_backward_input(y, w, x.shape(), o); });
    on_windows("conv dx", [&] { matmul_into(gradient, 1.0f, rows, matrix, {}, 0.0f); });
    line("conv dw", "loru", dense, [&] { conv2d_backward_weight(y, x, w.shape(), o); });
    on_windows("conv dw", [&] { matmul_into(weight, 1.0f, rows, windows, {.a = Op::transpose}, 0.0f); });
    line("low-rank conv forward", "loru", dense + thin, [&] { lowrank_conv2d_forward(x, w, a, b, 1.0, o); });
    line("low-rank conv backward", "loru", dense + 2 * thin,
         [&] { lowrank_conv2d_backward(y, x, w, a, b, low, 1.0, o, {}); });
  }
  loru::cuda::set_precision(loru::cuda::Precision::full);
}

/// Attention of 8 heads of width 64 over 16,384 tokens in sequences of T, causal or not.
void attentions(Bench& bench, loru::cuda::Precision precision, const char* math) {
  constexpr Index tokens = 16384, heads = 8, width = 64;
  loru::cuda::set_precision(precision);
  Array<float> q({tokens, heads * width}), k(q.shape()), v(q.shape()), dy(q.shape());
  randomise(q, k, v, dy);
  for (const Index length : {512, 2048})
    for (const bool causal : {false, true}) {
      Sequences s;
      while (s.rows() < tokens) s.starts.push_back(s.rows() + length);
      const AttentionOptions o{heads, heads, causal, 0.125};
      const auto kept = attention(q, k, v, s, s, o);
      // One product forward: 2·T·T·d; a causal mask leaves half.
      const double product =
          2.0 * static_cast<double>(tokens * length * heads * width) * (causal ? 0.5 : 1.0);
      const auto line = [&](const char* pass, double flops, auto f) {
        const double us = bench.timer.microseconds(f);
        const nlohmann::json j{
            {"work", pass},     {"math", math},  {"T", length}, {"d", width},
            {"causal", causal}, {"how", "loru"}, {"us", us},    {"tflops", flops / us * 1e-6}};
        std::puts(j.dump().c_str());
      };
      line("attention forward", 2.0 * product, [&] { attention(q, k, v, s, s, o); });
      line("attention backward", 5.0 * product, [&] { attention_backward(dy, q, k, v, kept, s, s, o, {}); });
    }
  loru::cuda::set_precision(loru::cuda::Precision::full);
}

/// Whether cuBLAS can be loaded; says why not.
bool cublas_there() {
  try {
    static_cast<void>(loru::cuda::blas().handle());
    return true;
  } catch (const loru::cuda::CudaError&) {
    throw;
  } catch (const loru::Error& error) {
    std::fprintf(stderr, "cuda_kernels: nothing beside cuBLAS: %s\n", error.what());
    return false;
  }
}

void run(int rows, int repetitions) {
  const auto device = loru::cuda::device_properties();
  Bench bench{Timer(repetitions), rows, cublas_there()};
  Array<float> from({Index{1} << 27}), to(from.shape());
  randomise(from, to);
  const double us = bench.timer.microseconds([&] { copy_into(to, from); });
  bench.bandwidth = 2.0 * sizeof(float) * static_cast<double>(to.size()) / (us * 1e-6);
  const nlohmann::json head{{"device", device.name},
                            {"compute_capability", device.major * 10 + device.minor},
                            {"copy_gb_s", bench.bandwidth * 1e-9},
                            {"dense_tflops",
                             {{"bf16", dense_throughput<loru::cuda::InBf16>(bench) * 1e-12},
                              {"tf32", dense_throughput<loru::cuda::InTf32>(bench) * 1e-12},
                              {"float", dense_throughput<loru::cuda::InFloat>(bench) * 1e-12}}}};
  std::puts(head.dump().c_str());
  passes<loru::cuda::InBf16>(bench, "bf16");
  passes<loru::cuda::InTf32>(bench, "tf32");
  passes<loru::cuda::InFloat>(bench, "float");
  merges(bench);
  convolutions(bench, loru::cuda::Precision::tf32, "tf32");
  convolutions(bench, loru::cuda::Precision::full, "float");
  attentions(bench, loru::cuda::Precision::tf32, "tf32");
  attentions(bench, loru::cuda::Precision::full, "float");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times the low-rank kernels on a CUDA device beside cuBLAS"};
  int rows = 8192, repetitions = 30;
  app.add_option("--rows", rows, "rows M of the inputs")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--repetitions", repetitions, "of each measurement")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a run that is stopped has shown what it measured
  try {
    run(rows, repetitions);
  } catch (const loru::cuda::NoDevice& error) {
    std::fprintf(stderr, "cuda_kernels: %s\n", error.what());
    return 2;
  } catch (const loru::Error& error) {
    std::fprintf(stderr, "cuda_kernels: %s\n", error.what());
    return 1;
  }
}
