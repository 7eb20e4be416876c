#pragma once
// Sums over host tensors.

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include <loru/cpu/rows.hpp>

namespace loru::inline LORU_ISA {

/// Sum of the rows of x (M, n): shape (n).
template <Scalar T>
Tensor<T> column_sum(const Tensor<T>& x) {
  require<ShapeError>(x.rank() == 2, "column_sum: expected a matrix, got ", x.shape());
  const Index m = x.dim(0), n = x.dim(1);
  Tensor<T> y(Shape{n});
  const T* data = x.data();
  cpu::column_sums<1>(m, n, y.data(), [=](Index i, Index j) { return std::array<T, 1>{data[i * n + j]}; });
  return y;
}

/// Sum of all elements: shape ().
template <Scalar T>
Tensor<T> sum(const Tensor<T>& x) {
  Tensor<T> y{Shape{}};
  const T* data = x.data();
  cpu::column_sums<1>(x.size(), Index{1}, y.data(),
                      [=](Index i, Index) { return std::array<T, 1>{data[i]}; });
  return y;
}

namespace cpu {

/// Σ v(i)² for i < n, in 32 interleaved sums so that neither latency nor rounding piles up.
template <class F>
double squares(Index n, F v) {
  constexpr Index lanes = 32;
  double sums[lanes] = {};
  const auto add = [&](Index i, Index lane) {
    const double value = v(i + lane);
    sums[lane] += value * value;
  };
  Index i = 0;
  for (; i + lanes <= n; i += lanes)
    for (Index lane = 0; lane < lanes; ++lane) add(i, lane);
  for (Index lane = 0; i + lane < n; ++lane) add(i, lane);
  double total = 0.0;
  for (double s : sums) total += s;
  return total;
}

/// Σ xᵢ² of the value parts of n elements.
template <Scalar T>
double squares(const T* x, Index n) {
  return squares(n, [=](Index i) { return static_cast<double>(value_of(x[i])); });
}

}  // namespace cpu

/// Σ xᵢ² of the value parts, in double.
template <Scalar T>
double squared_norm(const Tensor<T>& x) {
  constexpr Index block = Index{1} << 15;
  const T* data = x.data();
  Tensor<double> parts(Shape{(x.size() + block - 1) / block});
  double* part = parts.data();
  parallel_blocks(x.size(), block, [=](Index first, Index last) {
    part[first / block] = cpu::squares(data + first, last - first);
  });
  double total = 0.0;
  for (double p : parts.span()) total += p;
  return total;
}

namespace cpu {

/// Whether the n numbers in these bytes, which need not be aligned, are all finite. By the exponents:
/// compilers vectorise a loop over integers.
template <std::floating_point T>
bool all_finite(const std::byte* x, Index n) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits exponent = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  Bits found = 0;
  for (Index i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i * static_cast<Index>(sizeof bits), sizeof bits);
    found |= Bits{(bits & exponent) == exponent};
  }
  return found == 0;
}

/// The largest |x| of the n numbers in these bytes, which need not be aligned; not a number if one is not,
/// else infinite if one is. By the bits, whose order that is.
template <std::floating_point T>
T largest_magnitude(const std::byte* x, Index n) {
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits sign = std::bit_cast<Bits>(-T(0));
  Bits largest = 0;
  for (Index i = 0; i < n; ++i) {
    Bits bits;
    std::memcpy(&bits, x + i * static_cast<Index>(sizeof bits), sizeof bits);
    largest = std::max(largest, Bits(bits & ~sign));
  }
  return std::bit_cast<T>(largest);
}

}  // namespace cpu

/// True if every value part is finite.
template <Scalar T>
bool all_finite(const Tensor<T>& x) {
  if constexpr (std::floating_point<T>) {
    return cpu::all_finite<T>(reinterpret_cast<const std::byte*>(x.data()), x.size());
  } else {
    using std::isfinite;
    for (Index i = 0, n = x.size(); i < n; ++i)
      if (!isfinite(x.data()[i])) return false;
    return true;
  }
}

}  // namespace loru::inline LORU_ISA
