#pragma once
// Host twins of mma.sync m16n8, of the rounding to tf32 and of ex2.approx. Fragments as PTX ISA 8.x, "Matrix
// Fragments for mma", lays them out: with g = lane / 4 and t = lane % 4, a lane holds rows g and g + 8,
// columns 2t and 2t + 1 of d.
#include <bit>
#include <cmath>
#include <limits>

#include "emulator/emulator.hpp"

namespace loru::cuda {
namespace twin {

struct Mma {
  const float* sum;
  const std::uint32_t *a, *b;
  float d[4];
};

void mma_bf16(Mma* const* lanes);
void mma_tf32(Mma* const* lanes);

inline void mma(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                void (*all)(Mma* const*), const emulator::Site& site) {
  Mma mine{d, a, b, {}};
  emulator::block->warp_operation(~0U, mine, all, site);
  std::copy_n(mine.d, 4, d);
}

}  // namespace twin

inline void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                              LORU_HERE) {
  twin::mma(d, a, b, twin::mma_bf16, {"mma.m16n8k16.bf16", file, line});
}
inline void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                             LORU_HERE) {
  twin::mma(d, a, b, twin::mma_tf32, {"mma.m16n8k8.tf32", file, line});
}

/// cvt.rna.tf32.f32: to 10 bits of mantissa, nearest, ties away from zero.
inline std::uint32_t to_tf32(std::uint32_t v) {
  const bool finite = (v & 0x7f800000U) != 0x7f800000U;
  return finite ? (v + 0x1000U) & 0xffffe000U : v;
}

/// ex2.approx.ftz.f32, moved by up to 2 units in the last place either way, by a hash of x, as its error
/// bound allows. 1 of 0; what would be below the least normal number is 0.
inline float exp2_approximate(float x) {
  constexpr float least = std::numeric_limits<float>::min();
  const float exact = std::exp2(x);
  if (exact < least) return 0.0F;
  if (x == 0.0F || !std::isfinite(exact)) return exact;
  const auto off = static_cast<std::int32_t>((std::bit_cast<std::uint32_t>(x) * 0x9e3779b9U >> 16) % 5U) - 2;
  return std::max(least, std::bit_cast<float>(std::bit_cast<std::int32_t>(exact) + off));
}

}  // namespace loru::cuda
