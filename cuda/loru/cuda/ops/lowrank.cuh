#pragma once
// Low-rank layers, and factors merged into weights: in float by the fused kernels, layers in the precision
// that products have (see blas.hpp); in double, and where an extent is zero, as products by
// cuBLAS.

#include <concepts>

#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/forward.cuh>
#include <loru/cuda/kernels/merge.cuh>
#include <loru/cuda/ops/kernels.cuh>
#include <loru/cuda/ops/matmul.cuh>

namespace loru::cuda {

namespace detail {

/// Whether the fused kernels apply: float, and no extent is zero.
template <class T>
bool fused(const Array<T>& x, const Array<T>& w, const Array<T>& b) {
  return std::same_as<T, float> && x.size() > 0 && w.size() > 0 && b.size() > 0;
}

template <std::same_as<float> T>
void fused_forward(LowrankFeatures<T, Cuda>& f, const Array<T>& x, const Array<T>& w, const Array<T>& a,
                   const Array<T>& b, T s) {
  const Client<T> client{view(a), view(b), s};
  const auto X = view(x), W = view(w);
  const T* no_bias = nullptr;
  with_math([&]<class Math>(Math) {
    const auto form = forward_form(X.rows, W.rows, W.cols, client.A.rows, sizeof(T),
                                   this_device().rates(Math::tensor_cores), this_device().multiprocessors);
    lora_forward<Math>(form, X, W, client, no_bias, false, view(f.y), view(f.low), queue());
  });
}

template <std::same_as<float> T>
void fused_backward(LowrankGradients<T, Cuda>& g, const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                    const Array<T>& a, const Array<T>& b, const Array<T>& low, T s) {
  const auto W = view(w);
  const int M = blas_extent(x.dim(0)), r = blas_extent(a.dim(0));
  const Queue q = queue();
  Array<T> dlow(low.shape()), workspace(Shape{backward_workspace(M, W.rows, r, false, q.multiprocessors)});
  Backward<T> p{view(dy), view(x), W, {view(a), view(b), s}, view(low), {}, view(dlow), {}, {}};
  if (g.dx) p.dx = view(g.dx);
  if (g.da) p.dA = view(g.da);
  if (g.db) p.dB = view(g.db);
  with_math([&]<class Math>(Math) {
    const auto form = backward_form(M, W.rows, W.cols, r, false, static_cast<bool>(g.dx),
                                    this_device().rates(Math::tensor_cores), q.multiprocessors);
    lora_backward<Math>(p, fitting_form<Math>(form, r, block_memory()), workspace.data(), q);
  });
}

}  // namespace detail

template <class T>
LowrankFeatures<T, Cuda> lowrank_forward(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                         const Array<T>& b, double s) {
  loru::detail::check_lowrank("lowrank_forward", x.shape(), w.shape(), a.shape(), b.shape());
  LowrankFeatures<T, Cuda> f{Array<T>(Shape{x.dim(0), w.dim(0)}), Array<T>(Shape{x.dim(0), a.dim(0)})};
  if constexpr (std::same_as<T, float>)
    if (detail::fused(x, w, b)) {
      detail::fused_forward(f, x, w, a, b, static_cast<float>(s));
      return f;
    }
  matmul_into(f.low, static_cast<T>(s), x, a, {Op::none, Op::transpose}, T(0));
  matmul_into(f.y, T(1), x, w, {Op::none, Op::transpose}, T(0));
  matmul_into(f.y, T(1), f.low, b, {Op::none, Op::transpose}, T(1));
  return f;
}

template <class T>
LowrankGradients<T, Cuda> lowrank_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                           const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                           double s, LowrankWanted wanted) {
  loru::detail::check_lowrank("lowrank_backward", x.shape(), w.shape(), a.shape(), b.shape());
  LowrankGradients<T, Cuda> g;
  if (wanted.dx) g.dx = Array<T>(x.shape());
  if (wanted.da) g.da = Array<T>(a.shape());
  if (wanted.db) g.db = Array<T>(b.shape());
  if constexpr (std::same_as<T, float>)
    if (detail::fused(x, w, b)) {
      detail::fused_backward(g, dy, x, w, a, b, low, static_cast<float>(s));
      return g;
    }
  if (wanted.db) matmul_into(g.db, T(1), dy, low, {Op::transpose, Op::none}, T(0));
  if (!wanted.da && !wanted.dx) return g;
  Array<T> dlow(low.shape());
  matmul_into(dlow, static_cast<T>(s), dy, b, {}, T(0));
  if (wanted.da) matmul_into(g.da, T(1), dlow, x, {Op::transpose, Op::none}, T(0));
  if (!wanted.dx) return g;
  matmul_into(g.dx, T(1), dy, w, {}, T(0));
  matmul_into(g.dx, T(1), dlow, a, {}, T(1));
  return g;
}

namespace detail {

/// The factors of a weight of m rows, with kernel extents or without.
inline Client<float> factors(const Array<float>& a, const Array<float>& b, Index m, Index r, double s) {
  return {view(a.as_matrix(r)), view(b.as_matrix(m)), static_cast<float>(s)};
}

}  // namespace detail

template <class T>
void lowrank_merge(Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  const Index r = loru::detail::factor_rank("lowrank_merge", w, a, b), m = w.dim(0);
  if (r == 0 || w.size() == 0) return;
  Array<T> matrix = w.as_matrix(m);
  if constexpr (std::same_as<T, float>)
    return lora_merge(detail::view(matrix), detail::factors(a, b, m, r, s), Matrix<float>{},
                      current_stream());
  else
    matmul_into(matrix, s, b.as_matrix(m), a.as_matrix(r), {}, T(1));
}

template <class T>
Array<T> lowrank_compose(const Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  if constexpr (std::same_as<T, float>) {
    const Index r = loru::detail::factor_rank("lowrank_merge", w, a, b), m = w.dim(0);
    if (r == 0 || w.size() == 0) return clone(w);
    Array<T> composed(w.shape(), w.layout()), matrix = composed.as_matrix(m);
    lora_compose(detail::view(w.as_matrix(m)), detail::factors(a, b, m, r, s), detail::view(matrix),
                 current_stream());
    return composed;
  } else {
    Array<T> composed = clone(w);
    lowrank_merge(composed, a, b, s);
    return composed;
  }
}

#ifdef LORU_CUDA_COMPILED
// The kernels take a compiler's time: a program of several sources instantiates them in one of them.
LORU_LOWRANK_OPS(LORU_EXTERN_OP, float, Cuda)
#endif

}  // namespace loru::cuda
