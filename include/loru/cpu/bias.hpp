#pragma once
// Biases of rows of features on host tensors.

#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/epilogue.hpp>
#include <loru/cpu/reduce.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// z = x + bias (n) in every row of x (M, n), and the epilogue of z, in place of x. Throws ShapeError.
template <Scalar T>
void add_bias(Tensor<T>& x, const Tensor<T>& bias, const Epilogue<Tensor<T>>& after) {
  detail::check_bias("add_bias", x, bias);
  if (after.residual) require_same_shape("add_bias", x, after.residual);
  const T* b = bias.data();
  cpu::map_through(after, x.dim(0), x.dim(1), std::as_const(x).data(), x.data(),
                   [b](T v, Index j) { return v + b[j]; });
}

/// Backward pass of add_bias: dx = dy where y > 0, else 0; dbias = Σ dx over rows. y is the result if there
/// was a ReLU; without one it is empty, and dx = dy. Uses dy's buffer if nothing else shares it. Throws
/// ShapeError.
template <Scalar T>
BiasGradients<T> add_bias_backward(const Tensor<T>& y, Tensor<T> dy) {
  if (!y) return {dy, column_sum(dy)};
  detail::check_bias_gradient(y.shape(), dy.shape());
  const Index rows = y.dim(0), n = y.dim(1);
  BiasGradients<T> grads{cpu::own(std::move(dy), Layout::row_major), Tensor<T>(Shape{n})};
  const T* out = y.data();
  T* g = grads.dx.data();
  cpu::column_sums<1>(
      rows, n, grads.dbias.data(), [=](Index i, Index j) { return std::array<T, 1>{g[i * n + j]}; },
      [=](Index first, Index last) { cpu::mask((last - first) * n, out + first * n, g + first * n); });
  return grads;
}

}  // namespace loru::inline LORU_ISA
