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

/// The same with W in blocks.
inline Tensor<float> lowrank_compose(const BlockTensor& w, const Tensor<float>& a, const Tensor<float>& b,
                                     double s) {
  Tensor<float> composed = decoded(w);
  lowrank_merge(composed, a, b, s);
  return composed;
}

namespace cpu {

/// Both with W a tensor or in blocks.
template <Scalar T, class W>
LowrankFeatures<T> lowrank_forward(const Tensor<T>& x, const W& w, const Tensor<T>& a, const Tensor<T>& b,
                                   double s) {
  LowrankFeatures<T> f{{}, Tensor<T>(Shape{x.dim(0), a.dim(0)})};
  matmul_into(f.low, static_cast<Real<T>>(s), x, a, {.b = Op::transpose}, Real<T>(0));
  f.y = matmul(x, w, {.b = Op::transpose});
  matmul_into(f.y, Real<T>(1), f.low, b, {.b = Op::transpose}, Real<T>(1));
  return f;
}

template <Scalar T, class W>
LowrankGradients<T> lowrank_backward(const Tensor<T>& dy, const Tensor<T>& x, const W& w, const Tensor<T>& a,
                                     const Tensor<T>& b, const Tensor<T>& low, double s,
                                     LowrankWanted wanted) {
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

}  // namespace cpu

/// y = x·Wᵀ + low·Bᵀ with low = s·x·Aᵀ: x (M, n), W (m, n), A (r, n), B (m, r), low (M, r). Throws
/// ShapeError.
template <Scalar T>
LowrankFeatures<T> lowrank_forward(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& a,
                                   const Tensor<T>& b, double s) {
  detail::check_lowrank("lowrank_forward", x.shape(), w.shape(), a.shape(), b.shape());
  return cpu::lowrank_forward(x, w, a, b, s);
}

/// The same with W in blocks.
inline LowrankFeatures<float> lowrank_forward(const Tensor<float>& x, const BlockTensor& w,
                                              const Tensor<float>& a, const Tensor<float>& b, double s) {
  detail::check_lowrank("lowrank_forward", x.shape(), w.shape, a.shape(), b.shape());
  return cpu::lowrank_forward(x, w, a, b, s);
}

/// dB = dyᵀ·low, dA = dSᵀ·x and dx = dy·W + dS·A with dS = s·dy·B, `low` as lowrank_forward gave it.
template <Scalar T>
LowrankGradients<T> lowrank_backward(const Tensor<T>& dy, const Tensor<T>& x, const Tensor<T>& w,
                                     const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& low, double s,
                                     LowrankWanted wanted) {
  detail::check_lowrank("lowrank_backward", x.shape(), w.shape(), a.shape(), b.shape());
  return cpu::lowrank_backward(dy, x, w, a, b, low, s, wanted);
}

/// The same with W in blocks.
inline LowrankGradients<float> lowrank_backward(const Tensor<float>& dy, const Tensor<float>& x,
                                                const BlockTensor& w, const Tensor<float>& a,
                                                const Tensor<float>& b, const Tensor<float>& low, double s,
                                                LowrankWanted wanted) {
  detail::check_lowrank("lowrank_backward", x.shape(), w.shape, a.shape(), b.shape());
  return cpu::lowrank_backward(dy, x, w, a, b, low, s, wanted);
}

}  // namespace loru::inline LORU_ISA
