#pragma once
// Norms and inner products, accumulated in double in memory order.

#include <cmath>

#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::linalg {

/// Σ aᵢ·bᵢ in memory order. Throws ShapeError if the shapes differ.
template <std::floating_point T>
double dot(const Tensor<T>& a, const Tensor<T>& b) {
  require_same_shape("dot", a, b);
  double sum = 0.0;
  for (Index i = 0; i < a.size(); ++i)
    sum += static_cast<double>(a.data()[i]) * static_cast<double>(b.data()[i]);
  return sum;
}

/// √Σ aᵢ²: the Frobenius norm of a matrix.
template <std::floating_point T>
double norm(const Tensor<T>& a) {
  return std::sqrt(dot(a, a));
}

}  // namespace loru::inline LORU_ISA::linalg
