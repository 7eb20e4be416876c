#pragma once
// Tensors for tests, and how far two of them are apart.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstring>
#include <limits>

#include <loru/cpu/elementwise.hpp>

namespace loru_test {

using namespace loru;

/// What rounding may do to results of a few thousand operations, relative to the largest element.
template <class T>
inline constexpr double tolerance = std::same_as<T, float> ? 2e-5 : 1e-12;

/// Standard normal elements, drawn in row-major order whatever the layout. For dual numbers both parts are
/// drawn.
template <class T = double>
Tensor<T> gaussian(const Shape& shape, std::uint64_t seed = 1, Layout layout = Layout::row_major) {
  rng::Stream stream(seed);
  Tensor<T> t(shape);
  for (T& x : t.span()) {
    const auto value = static_cast<Real<T>>(stream.normal());
    if constexpr (is_dual<T>)
      x = T(value, static_cast<Real<T>>(stream.normal()));
    else
      x = value;
  }
  return to_layout(t, layout);
}

/// 0, 1, 2, ... modulo classes.
inline Tensor<std::int32_t> labels(Index count, std::int32_t classes) {
  Tensor<std::int32_t> t(Shape{count});
  for (Index i = 0; i < count; ++i) t.data()[i] = static_cast<std::int32_t>(i) % classes;
  return t;
}

/// max|a − b| / max|b| over logical elements; infinite if the shapes differ or something is not finite.
template <class T>
double difference(const Tensor<T>& got, const Tensor<T>& expected) {
  if (got.shape() != expected.shape() || got.size() != expected.size())
    return std::numeric_limits<double>::infinity();
  const Tensor<T> a = to_layout(got, Layout::row_major), b = to_layout(expected, Layout::row_major);
  double error = 0.0, scale = 0.0;
  for (Index i = 0; i < a.size(); ++i) {
    const double x = static_cast<double>(a.data()[i]), y = static_cast<double>(b.data()[i]);
    if (!std::isfinite(x) || !std::isfinite(y)) return std::numeric_limits<double>::infinity();
    error = std::max(error, std::abs(x - y));
    scale = std::max(scale, std::abs(y));
  }
  return error == 0.0 ? 0.0 : error / scale;
}

template <class T>
bool close(const Tensor<T>& got, const Tensor<T>& expected) {
  return difference(got, expected) <= tolerance<T>;
}

/// True if shape and every bit agree, whatever the layouts.
template <class T>
bool same_bits(const Tensor<T>& a_any, const Tensor<T>& b_any) {
  if (a_any.shape() != b_any.shape() || a_any.size() != b_any.size()) return false;
  const Tensor<T> a = to_layout(a_any, Layout::row_major), b = to_layout(b_any, Layout::row_major);
  return a.size() == 0 ||
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(T)) == 0;
}

}  // namespace loru_test
