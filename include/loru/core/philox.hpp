#pragma once
// The generator under all random numbers, for the host and for device code.
//
// Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include <cstddef>
#include <cstdint>

#include <loru/core/host_device.hpp>
#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::rng {

/// Ten rounds of Philox4x32 on L counters of 128 bits, all with one key of 64 bits: word w of counter i
/// stands at c[w][i], and is replaced by word w of its 128 random bits.
template <std::size_t L>
LORU_HOST_DEVICE constexpr void philox(std::uint32_t (&c)[4][L], std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
    for (std::size_t i = 0; i < L; ++i) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0][i],
                          p1 = std::uint64_t{0xCD9E8D57u} * c[2][i];
      c[0][i] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1][i] ^ k0;
      c[1][i] = static_cast<std::uint32_t>(p1);
      c[2][i] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3][i] ^ k1;
      c[3][i] = static_cast<std::uint32_t>(p0);
    }
}

}  // namespace loru::inline LORU_ISA::rng
