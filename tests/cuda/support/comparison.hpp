#pragma once
// A kernel's output against sums in double: exact for integers, within the roundings that were made for other
// numbers, the same bits in every order of threads.
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <loru/core/error.hpp>
#include <loru/cuda/device/ptx.cuh>

#include "cuda/support/guarded.hpp"
#include "cuda/support/on_device.hpp"
#include "cuda/support/orders.hpp"

namespace loru_test {

/// A number format's unit of rounding.
inline constexpr double float_unit = 0x1p-24, bf16_unit = 0x1p-8, tf32_unit = 0x1p-11;

/// v as tf32: 10 bits of mantissa, to nearest, ties away from zero; v is a finite float.
inline double as_tf32(double v) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(v));
  return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}
inline double as_bf16(double v) {
  return loru::cuda::to_float(loru::cuda::from_float<__nv_bfloat16>(static_cast<float>(v)));
}

/// A sum of products in double and the sum of their sizes.
struct Sum {
  double value = 0, size = 0;
  void add(double term) { value += term, size += std::abs(term); }
};

/// What a float sum of `terms` products may be off by, whatever its order: each is rounded at most `terms`
/// times, and once more for the truncation that tensor cores are allowed.
inline double sum_bound(const Sum& sum, int terms) { return 2 * float_unit * (terms + 1) * sum.size; }

/// The largest |got - expected| / bound seen, where, and all bits seen.
class Comparison {
 public:
  /// bound 0: got is expected exactly. Nothing that is not a number is within any bound.
  void see(double got, double expected, double bound, const char* what, int i, int j) {
    bits_ = (bits_ ^ std::bit_cast<std::uint64_t>(got)) * 0x100000001b3;
    double error = got == expected ? 0 : std::abs(got - expected) / bound;
    if (!(error <= std::numeric_limits<double>::max())) error = std::numeric_limits<double>::infinity();
    if (error > worst_ || (error == worst_ && where_.empty() && error > 0)) {
      worst_ = error;
      where_ = loru::concat(what, "(", i, ",", j, "): expected ", expected, " +- ", bound, ", got ", got);
    }
  }
  template <class... T>
  void intact(const Guarded<T>&... matrices) {
    if ((matrices.intact() && ...)) return;
    worst_ = std::numeric_limits<double>::infinity();
    where_ = "a write outside a matrix";
  }

  double worst() const { return worst_; }
  const std::string& where() const { return where_; }
  std::uint64_t bits() const { return bits_; }

 private:
  double worst_ = 0;
  std::string where_;
  std::uint64_t bits_ = 0xcbf29ce484222325;
};

/// body(comparison), which runs a kernel and compares its output, in every order of threads: within bounds,
/// without bank conflicts (plain accesses are watched in the first order), equal bits. The emulated device
/// gives a block so much shared memory.
template <class Body>
void compare_in_every_order(const Body& body, std::size_t block_memory = most_block_memory()) {
  const OnDevice device(block_memory);
  using loru::emulator::options, loru::emulator::Order, loru::emulator::statistics;
  std::uint64_t bits = 0;
  in_every_order([&] {
    const bool first = options.order == Order::forward;
    const auto conflicts = statistics.bank_conflicts.load();
    options.banks = first;
    Comparison seen;
    body(seen);
    options.banks = false;
    CHECK(statistics.bank_conflicts == conflicts);
    INFO(seen.where());
    CHECK(seen.worst() <= 1);
    if (first) bits = seen.bits();
    CHECK(seen.bits() == bits);
  });
}

}  // namespace loru_test
