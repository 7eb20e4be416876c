#pragma once
// Sums over long vectors, in double and in an order that depends on the length alone.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <numbers>
#include <span>
#include <vector>

#include <loru/core/rng.hpp>

namespace loru::inline LORU_ISA::spectrum {

template <std::floating_point T>
using Vector = std::vector<T>;

/// Vectors of one length, orthonormal where a function says so.
template <std::floating_point T>
using Vectors = std::vector<Vector<T>>;

namespace detail {

/// Numbers of a vector that stay in the first cache while many vectors pass by.
inline constexpr std::size_t piece = 4096;

/// Σ x_i·y_i of n numbers, in 16 running sums.
template <std::floating_point T>
double dot_of_piece(const T* x, const T* y, std::size_t n) {
  constexpr std::size_t lanes = 16;
  double sums[lanes] = {};
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (std::size_t l = 0; l < lanes; ++l)
      sums[l] += static_cast<double>(x[i + l]) * static_cast<double>(y[i + l]);
  double sum = 0.0;
  for (; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  for (const double s : sums) sum += s;
  return sum;
}

}  // namespace detail

/// xᵀ·y.
template <std::floating_point T>
double dot(const Vector<T>& x, const Vector<T>& y) {
  double sum = 0.0;
  for (std::size_t i = 0; i < x.size(); i += detail::piece)
    sum += detail::dot_of_piece(x.data() + i, y.data() + i, std::min(detail::piece, x.size() - i));
  return sum;
}

/// ‖x‖₂.
template <std::floating_point T>
double norm(const Vector<T>& x) {
  return std::sqrt(dot(x, x));
}

/// x ← c·x.
template <std::floating_point T>
void multiply(Vector<T>& x, double c) {
  for (T& value : x) value = static_cast<T>(static_cast<double>(value) * c);
}

/// Vᵀ·x for the vectors V, one number each.
template <std::floating_point T>
std::vector<double> coefficients(const Vectors<T>& v, const Vector<T>& x) {
  std::vector<double> c(v.size());
  for (std::size_t i = 0; i < x.size(); i += detail::piece)
    for (std::size_t j = 0; j < v.size(); ++j)
      c[j] += detail::dot_of_piece(x.data() + i, v[j].data() + i, std::min(detail::piece, x.size() - i));
  return c;
}

/// x ← x + V·c.
template <std::floating_point T>
void add_combination(Vector<T>& x, const Vectors<T>& v, std::span<const double> c) {
  for (std::size_t i = 0; i < x.size(); i += detail::piece)
    for (std::size_t j = 0; j < v.size(); ++j) {
      const T factor = static_cast<T>(c[j]);
      const T* from = v[j].data() + i;
      T* to = x.data() + i;
      for (std::size_t k = 0, n = std::min(detail::piece, x.size() - i); k < n; ++k)
        to[k] += factor * from[k];
    }
}

/// x ← (I − V·Vᵀ)·x for orthonormal V; returns Vᵀ·x.
template <std::floating_point T>
std::vector<double> project_out(Vector<T>& x, const Vectors<T>& v) {
  std::vector<double> c = coefficients(v, x);
  for (double& value : c) value = -value;
  add_combination(x, v, c);
  for (double& value : c) value = -value;
  return c;
}

/// Independent standard normal numbers: both of each pair of Box and Muller.
template <std::floating_point T>
Vector<T> gaussian(Index size, rng::Stream stream) {
  Vector<T> x(static_cast<std::size_t>(size));
  for (std::size_t i = 0; i < x.size(); i += 2) {
    const double u = 1.0 - stream.uniform(), angle = 2.0 * std::numbers::pi * stream.uniform(),
                 radius = std::sqrt(-2.0 * std::log(u));
    x[i] = static_cast<T>(radius * std::cos(angle));
    if (i + 1 < x.size()) x[i + 1] = static_cast<T>(radius * std::sin(angle));
  }
  return x;
}

}  // namespace loru::inline LORU_ISA::spectrum
