#pragma once
// How fast the host is, by instruction set.

#include <loru/core/device.hpp>
#include <loru/ops/rates.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Measured by bench/calibrate on one core of an AMD EPYC with AVX-512 (g++ 12.2).
inline constexpr cost::Rates avx512_rates{
    {48.3, 84.3, 72.8, 95.2, 99.4, 21.5, 49.6, 98.5, 86.8, 84.3, 215, 8.6, 15.9, 62.5}};

/// The AVX-512 table with every FLOP and transform slower by a factor: a guess, not a measurement.
constexpr cost::Rates scaled_rates(double factor) {
  cost::Rates rates = avx512_rates;
  for (std::size_t i = 0; i < cost::kind::count; ++i)
    if (i < cost::kind::memory || i == cost::kind::transforms) rates.of[i] *= factor;
  return rates;
}

/// Not measured: scaled by the width of the registers and the number of multipliers.
inline constexpr cost::Rates avx2_rates = scaled_rates(0.5);
inline constexpr cost::Rates neon_rates = scaled_rates(0.25);
inline constexpr cost::Rates generic_rates = scaled_rates(0.125);

}  // namespace cpu

/// The table of the instruction set that this program is compiled for.
inline constexpr cost::Rates device_rates(Cpu) {
#if defined(__AVX512F__)
  return cpu::avx512_rates;
#elif defined(__AVX2__)
  return cpu::avx2_rates;
#elif defined(__ARM_NEON)
  return cpu::neon_rates;
#else
  return cpu::generic_rates;
#endif
}

}  // namespace loru::inline LORU_ISA
