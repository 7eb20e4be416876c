#pragma once
// Host twins of mma.sync m16n8 and of the rounding to tf32. Fragments as PTX ISA 8.x, "Matrix Fragments for
// mma", lays them out: with g = lane / 4 and t = lane % 4, a lane holds rows g and g + 8, columns 2t and 2t +
// 1 of d.
#include "emulator/emulator.hpp"

namespace loru::cuda {
namespace twin {

struct Mma {
  const float* sum;
  const std::uint32_t *a, *b;
  float d[4];
};

/// a (16, K) and b (K, 8) gathered from the lanes, the product added in increasing k, d scattered.
template <int K, class Gather>
void mma(Mma* const* lanes, const Gather& gather) {
  alignas(32) float a[16][K], b[K][8], d[16][8];
  for (int l = 0; l < 32; ++l) {
    gather(*lanes[l], l / 4, l % 4, a, b);
    for (int e = 0; e < 4; ++e) d[l / 4 + e / 2 * 8][l % 4 * 2 + e % 2] = lanes[l]->sum[e];
  }
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < K; ++k)
      for (int j = 0; j < 8; ++j) d[i][j] += a[i][k] * b[k][j];
  for (int l = 0; l < 32; ++l)
    for (int e = 0; e < 4; ++e) lanes[l]->d[e] = d[l / 4 + e / 2 * 8][l % 4 * 2 + e % 2];
  ++emulator::block->counts().mma;
}

inline void mma_bf16(Mma* const* lanes) {
  mma<16>(lanes, [](const Mma& m, int g, int t, auto& a, auto& b) {
    const auto value = [](std::uint32_t v, int e) {
      return std::bit_cast<float>(e != 0 ? v & 0xffff0000U : v << 16);
    };
    for (int i = 0; i < 4; ++i)  // (g, 2t) (g+8, 2t) (g, 2t+8) (g+8, 2t+8), two neighbours in k each
      for (int e = 0; e < 2; ++e) a[g + i % 2 * 8][2 * t + i / 2 * 8 + e] = value(m.a[i], e);
    for (int i = 0; i < 2; ++i)  // (2t, g) (2t+8, g)
      for (int e = 0; e < 2; ++e) b[2 * t + i * 8 + e][g] = value(m.b[i], e);
  });
}
inline void mma_tf32(Mma* const* lanes) {
  mma<8>(lanes, [](const Mma& m, int g, int t, auto& a, auto& b) {
    const auto value = [](std::uint32_t v) {
      return std::bit_cast<float>(v & 0xffffe000U);
    };  // 13 bits go unread
    for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = value(m.a[i]);
    for (int i = 0; i < 2; ++i) b[t + i * 4][g] = value(m.b[i]);
  });
}

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

}  // namespace loru::cuda
