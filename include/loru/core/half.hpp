#pragma once
// Floats of 16 bits, for storing and sending. Arithmetic converts them to float.

#include <bit>
#include <cstdint>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA {

/// binary16 of IEEE 754: 5 bits of exponent, 10 of fraction.
struct Half {
  std::uint16_t bits;

  Half() = default;

  /// To the nearest, ties to even; beyond 65504 to infinity.
  explicit Half(float x) {
    const auto of_float = std::bit_cast<std::uint32_t>(x);
    const std::uint32_t sign = of_float >> 16 & 0x8000, size = of_float & 0x7fffffff;
    std::uint32_t half;
    if (size >= 0x47800000)  // 2^16 or more, infinite or not a number
      half = size > 0x7f800000 ? 0x7e00 : 0x7c00;
    else if (size < 0x38800000)  // below 2^-14 the unit is 2^-24, as at 0.5f: adding that rounds
      half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5f) -
             std::bit_cast<std::uint32_t>(0.5f);
    else  // the exponent's bias goes from 127 to 15, the fraction loses 13 bits
      half = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    bits = static_cast<std::uint16_t>(sign | half);
  }

  explicit operator float() const {
    const std::uint32_t sign = (bits & 0x8000u) << 16, size = bits & 0x7fffu;
    // The exponent's bias goes from 15 to 127, exactly. Without branches, so that loops are vectorised.
    const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(size << 13) * 0x1p112f);
    return std::bit_cast<float>(sign | scaled | (size < 0x7c00 ? 0 : 0x7f800000));  // infinite, not a number
  }
};

/// The upper half of a float: 8 bits of exponent, 7 of fraction.
struct BFloat16 {
  std::uint16_t bits;

  BFloat16() = default;

  /// To the nearest, ties to even.
  explicit BFloat16(float x) {
    const auto of_float = std::bit_cast<std::uint32_t>(x);
    const bool number = (of_float & 0x7fffffff) <= 0x7f800000;
    bits = static_cast<std::uint16_t>(number ? (of_float + 0x7fff + (of_float >> 16 & 1)) >> 16
                                             : of_float >> 16 | 0x7fc0);
  }

  explicit operator float() const { return std::bit_cast<float>(std::uint32_t{bits} << 16); }
};

}  // namespace loru::inline LORU_ISA
