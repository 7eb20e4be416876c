#pragma once
// Matrices in blocks with drawn content.

#include <loru/core/blocks.hpp>
#include <loru/core/half.hpp>
#include <loru/core/rng.hpp>

#include <cstring>
#include <memory>
#include <vector>

namespace loru_test {

using namespace loru;

inline const std::vector<BlockType> block_types = {BlockType::f16, BlockType::bf16, BlockType::q8_0,
                                                   BlockType::q4_0, BlockType::q4_1};

/// The bytes of a matrix (m, n) of numbers below about 0.4 in size; n is a multiple of 32.
inline std::vector<std::byte> block_bytes(BlockType type, Index m, Index n, std::uint64_t seed) {
  const BlockFormat& format = format_of(type);
  std::vector<std::byte> bytes(static_cast<std::size_t>(m * n / format.weights * format.bytes));
  rng::Stream stream(seed, rng::Purpose::synthetic);
  const auto put_half = [&](std::size_t at, double most) {
    const auto number = static_cast<float>(stream.uniform(-most, most));
    const std::uint16_t bits = type == BlockType::bf16 ? BFloat16(number).bits : Half(number).bits;
    std::memcpy(bytes.data() + at, &bits, 2);
  };
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(stream.below(256));
  const auto step = static_cast<std::size_t>(format.bytes);
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    if (!is_quantised(type))
      put_half(at, 0.3);
    else
      put_half(at, type == BlockType::q8_0 ? 0.003 : 0.03);
    if (type == BlockType::q4_1) put_half(at + 2, 0.1);
  }
  return bytes;
}

inline BlockTensor drawn_blocks(BlockType type, Index m, Index n, std::uint64_t seed) {
  const auto bytes = std::make_shared<const std::vector<std::byte>>(block_bytes(type, m, n, seed));
  return {type, {m, n}, *bytes, bytes};
}

}  // namespace loru_test
