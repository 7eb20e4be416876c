#pragma once
// Products of factors added to a weight, on host tensors.

#include <loru/ops/elementwise.hpp>
#include <loru/ops/matmul.hpp>

namespace loru {

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

}  // namespace loru
