#pragma once
// Division by numbers that a launch does not change: a multiplication and a shift.
#include <cstdint>

#include <loru/cuda/device/ptx.cuh>

namespace loru::cuda {

/// Division of 0 <= n < 2^31 by d >= 1, a constant of the launch: n / d = (n magic / 2^32 + n) / 2^shift.
/// Source: Granlund and Montgomery, Division by invariant integers using multiplication, PLDI 1994, section
/// 4.
struct Divisor {
  std::uint32_t by = 1, magic = 1, shift = 0;

  Divisor() = default;
  explicit Divisor(int d) : by{static_cast<std::uint32_t>(d)} {
    while ((std::uint64_t{1} << shift) < by) ++shift;
    magic = static_cast<std::uint32_t>((((std::uint64_t{1} << shift) - by) << 32) / by + 1);
  }
  __host__ __device__ __forceinline__ int quotient(int n) const {
    const auto v = static_cast<std::uint32_t>(n);
    return static_cast<int>((static_cast<std::uint32_t>((std::uint64_t{v} * magic) >> 32) + v) >> shift);
  }
  __host__ __device__ __forceinline__ int remainder(int n, int quotient) const {
    return n - quotient * static_cast<int>(by);
  }
};

/// The same of 0 <= n < 2^63 by 1 <= d <= 2^62: n / d = (n magic / 2^64 + n) / 2^shift. An extent of zero, by
/// which nothing is divided, is taken for one.
struct LongDivisor {
  std::uint64_t by = 1, magic = 1;
  std::uint32_t shift = 0;

  LongDivisor() = default;
  explicit LongDivisor(std::int64_t d) : by{static_cast<std::uint64_t>(d > 0 ? d : 1)} {
    __extension__ using Wide = unsigned __int128;
    while ((std::uint64_t{1} << shift) < by) ++shift;
    magic = static_cast<std::uint64_t>((Wide{(std::uint64_t{1} << shift) - by} << 64) / by + 1);
  }
  __device__ __forceinline__ std::int64_t quotient(std::int64_t n) const {
    const auto v = static_cast<std::uint64_t>(n);
    return static_cast<std::int64_t>((multiply_high(v, magic) + v) >> shift);
  }
  __device__ __forceinline__ std::int64_t remainder(std::int64_t n, std::int64_t quotient) const {
    return n - quotient * static_cast<std::int64_t>(by);
  }
  __device__ __forceinline__ std::int64_t remainder(std::int64_t n) const {
    return remainder(n, quotient(n));
  }
};

}  // namespace loru::cuda
