#pragma once
// Biases of rows of features on host tensors, alone or with the ReLU that follows.

#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// x (M, n) + bias (n), added to every row in place.
template <Scalar T>
void add_bias(Tensor<T>& x, const Tensor<T>& bias) {
  detail::check_bias("add_bias", x, bias);
  const T* b = bias.data();
  cpu::map_rows(x.dim(0), x.dim(1), std::as_const(x).data(), x.data(),
                   [b](T v, Index, Index j) { return v + b[j]; });
}

/// max(x + bias, 0) in place of x (M, n).
template <Scalar T>
void add_bias_relu(Tensor<T>& x, const Tensor<T>& bias) {
  detail::check_bias("add_bias_relu", x, bias);
  const T* b = bias.data();
  cpu::map_rows(x.dim(0), x.dim(1), std::as_const(x).data(), x.data(), [b](T v, Index, Index j) {
    const T sum = v + b[j];
    return sum > T(0) ? sum : T(0);
  });
}

/// Backward pass of add_bias_relu in one pass: dx = dy where y > 0, else 0; dbias = Σ dx over rows.
/// Uses dy's buffer if nothing else shares it.
template <Scalar T>
BiasGradients<T> add_bias_relu_backward(const Tensor<T>& y, Tensor<T> dy) {
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

}  // namespace loru
