// What a warp does at once: ldmatrix and mma.sync for all of its lanes.
#include <algorithm>
#include <bit>
#include <cstring>

#include "emulator/ptx.hpp"

namespace loru::cuda::twin {

/// Elements (two of 16 bits) of matrix m that lane l gets.
template <bool Trans>
std::uint32_t matrix_word(Ldmatrix* const* lanes, int m, int l) {
  std::uint16_t half[2];
  for (int e = 0; e < 2; ++e) {
    const int row = Trans ? l % 4 * 2 + e : l / 4, column = Trans ? l / 4 : l % 4 * 2 + e;
    std::memcpy(&half[e], lanes[m * 8 + row]->row + 2 * column, 2);
  }
  return half[0] | static_cast<std::uint32_t>(half[1]) << 16;
}

template <int Count, bool Trans>
void ldmatrix(Ldmatrix* const* lanes) {
  for (int m = 0; m < Count; ++m) {
    unsigned banks = 0;  // groups of four banks that the eight rows lie in
    for (int r = 0; r < 8; ++r)
      banks |= 1U << reinterpret_cast<std::uintptr_t>(lanes[m * 8 + r]->row) / 16 % 8;
    emulator::block->counts().bank_conflicts += 8 - std::popcount(banks);
    for (int l = 0; l < 32; ++l) lanes[l]->out[m] = matrix_word<Trans>(lanes, m, l);
  }
  ++emulator::block->counts().ldmatrix;
}

template void ldmatrix<4, false>(Ldmatrix* const*);
template void ldmatrix<2, false>(Ldmatrix* const*);
template void ldmatrix<4, true>(Ldmatrix* const*);
template void ldmatrix<2, true>(Ldmatrix* const*);

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

void mma_bf16(Mma* const* lanes) {
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
void mma_tf32(Mma* const* lanes) {
  mma<8>(lanes, [](const Mma& m, int g, int t, auto& a, auto& b) {
    const auto value = [](std::uint32_t v) {
      return std::bit_cast<float>(v & 0xffffe000U);
    };  // 13 bits go unread
    for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + i / 2 * 4] = value(m.a[i]);
    for (int i = 0; i < 2; ++i) b[t + i * 4][g] = value(m.b[i]);
  });
}

}  // namespace loru::cuda::twin
