#pragma once
// Products of factors added to a weight, on host tensors.

#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/matmul.hpp>

namespace loru::inline LORU_ISA {

/// W += s·B·A in place: W (m, n), A (r, n), B (m, r); a convolution's n runs over its window in memory order.
/// Throws ShapeError.
template <Scalar T>
void lowrank_merge(Tensor<T>& w, const Tensor<T>& a, const Tensor<T>& b, double s) {
  const Index r = detail::factor_rank("lowrank_merge", w, a, b), m = w.dim(0);
  if (r == 0) return;
  Tensor<T> matrix = w.as_matrix(m);
  matmul_into(matrix, static_cast<Real<T>>(s), b.as_matrix(m), a.as_matrix(r), {}, Real<T>(1));
  if constexpr (is_dual<T>) w = matrix.reinterpret(w.shape(), w.layout());
}

/// W + s·B·A as a new tensor.
template <Scalar T>
Tensor<T> lowrank_compose(const Tensor<T>& w, const Tensor<T>& a, const Tensor<T>& b, double s) {
  Tensor<T> composed = clone(w);
  lowrank_merge(composed, a, b, s);
  return composed;
}

/// y = x·Wᵀ + low·Bᵀ with low = s·x·Aᵀ: x (M, n), W (m, n), A (r, n), B (m, r), low (M, r). Throws
/// ShapeError.
template <Scalar T>
LowrankFeatures<T> lowrank_forward(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& a,
                                   const Tensor<T>& b, double s) {
  detail::check_lowrank("lowrank_forward", x, w, a, b);
  LowrankFeatures<T> f{{}, Tensor<T>(Shape{x.dim(0), a.dim(0)})};
  matmul_into(f.low, static_cast<Real<T>>(s), x, a, {.b = Op::transpose}, Real<T>(0));
  f.y = matmul(x, w, {.b = Op::transpose});
  matmul_into(f.y, Real<T>(1), f.low, b, {.b = Op::transpose}, Real<T>(1));
  return f;
}

/// dB = dyᵀ·low, dA = dSᵀ·x and dx = dy·W + dS·A with dS = s·dy·B, `low` as lowrank_forward gave it.
template <Scalar T>
LowrankGradients<T> lowrank_backward(const Tensor<T>& dy, const Tensor<T>& x, const Tensor<T>& w,
                                     const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& low, double s,
                                     LowrankWanted wanted) {
  detail::check_lowrank("lowrank_backward", x, w, a, b);
  LowrankGradients<T> g;
  if (wanted.db) g.db = matmul(dy, low, {.a = Op::transpose});
  if (!wanted.da && !wanted.dx) return g;
  Tensor<T> dlow(Shape{dy.dim(0), a.dim(0)});
  matmul_into(dlow, static_cast<Real<T>>(s), dy, b, {}, Real<T>(0));
  if (wanted.da) g.da = matmul(dlow, x, {.a = Op::transpose});
  if (!wanted.dx) return g;
  g.dx = matmul(dy, w, {});
  matmul_into(g.dx, Real<T>(1), dlow, a, {}, Real<T>(1));
  return g;
}

}  // namespace loru::inline LORU_ISA
