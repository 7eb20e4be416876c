#pragma once
// How fast a device is at the kinds of work in a low-rank step. The planner divides work by these rates. A
// device owns its rates: device_rates(Device), found by argument-dependent lookup.

#include <array>
#include <cstddef>

#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::cost {

/// Thinnest extents of a product's result for which there is a rate. Between them the time of a FLOP is
/// interpolated over log2 of the extent; beyond them the nearest rate is used.
inline constexpr std::array<Index, 5> thin_extents{8, 16, 32, 64, 128};

/// Places of the kinds of work in Work and Rates; products and filterings take one place per thin extent.
namespace kind {
inline constexpr std::size_t product = 0;                       // FLOPs of matrix products
inline constexpr std::size_t filtering = thin_extents.size();   // FLOPs between Winograd's transforms
inline constexpr std::size_t memory = 2 * thin_extents.size();  // bytes of operands and results of products
inline constexpr std::size_t windows = memory + 1;              // bytes of windows gathered or added back
inline constexpr std::size_t transforms = memory + 2;           // bytes of transformed tiles and kernels
inline constexpr std::size_t calls = memory + 3;                // products and convolutions
inline constexpr std::size_t count = memory + 4;
}  // namespace kind

/// An amount of every kind of work.
struct Work {
  std::array<double, kind::count> of{};
  double& operator[](std::size_t place) { return of[place]; }
  double operator[](std::size_t place) const { return of[place]; }
  static constexpr std::size_t size() { return kind::count; }
};

inline Work operator+(Work a, const Work& b) {
  for (std::size_t i = 0; i < kind::count; ++i) a[i] += b[i];
  return a;
}

/// Rates of every kind of work: 10⁹ FLOPs, 10⁹ bytes or 10⁶ calls a second.
struct Rates {
  std::array<double, kind::count> of{};
  bool operator==(const Rates&) const = default;
};

/// What one unit of a rate stands for.
inline constexpr double rate_unit(std::size_t place) { return place == kind::calls ? 1e6 : 1e9; }

/// Seconds that the work takes at these rates.
inline double seconds(const Work& work, const Rates& rates) {
  double sum = 0.0;
  for (std::size_t i = 0; i < kind::count; ++i) sum += work[i] / (rates.of[i] * rate_unit(i));
  return sum;
}

}  // namespace loru::inline LORU_ISA::cost
