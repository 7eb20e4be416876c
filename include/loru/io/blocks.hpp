#pragma once
// Weights in GGUF's forms: floats of three sizes, and blocks of 32 small whole numbers with their scale.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include <loru/core/error.hpp>
#include <loru/core/half.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::io {

/// d and m are halves, q the numbers:
///
///   q8_0   34 bytes: d, 32 q of 8 bits              q·d
///   q4_0   18 bytes: d, 32 q of 4 bits              (q − 8)·d
///   q4_1   20 bytes: d, m, 32 q of 4 bits           q·d + m
///
/// Of the 16 bytes of 4-bit numbers, the lower halves are q 0 to 15, the upper ones 16 to 31. Products are
/// exact in float, so that the values do not depend on how sums are contracted.
enum class BlockType : unsigned char { f32, f16, bf16, q8_0, q4_0, q4_1 };

/// GGUF's number and name of a type, and its blocks.
struct BlockFormat {
  const char* name;
  std::uint32_t gguf;
  Index weights;  // in a block
  Index bytes;    // of a block
};

inline constexpr BlockFormat block_formats[] = {{"F32", 0, 1, 4},    {"F16", 1, 1, 2},
                                                {"BF16", 30, 1, 2},  {"Q8_0", 8, 32, 34},
                                                {"Q4_0", 2, 32, 18}, {"Q4_1", 3, 32, 20}};

constexpr const BlockFormat& format_of(BlockType type) {
  return block_formats[static_cast<std::size_t>(type)];
}

/// True for whole numbers with scales, false for floats.
constexpr bool is_quantised(BlockType type) { return format_of(type).weights > 1; }

/// A matrix (or vector) whose rows are whole numbers of blocks. `owner` keeps the bytes alive.
struct BlockTensor {
  BlockType type = BlockType::f32;
  Shape shape = {};  // row-major; the last extent is a row
  std::span<const std::byte> bytes = {};
  std::shared_ptr<const void> owner = nullptr;

  Index columns() const { return shape.rank() == 0 ? 1 : shape[shape.rank() - 1]; }
  Index rows() const { return columns() == 0 ? 0 : shape.size() / columns(); }
  Index row_bytes() const { return columns() / format_of(type).weights * format_of(type).bytes; }
};

namespace detail {

inline float half_at(const std::byte* p) {
  Half half;
  std::memcpy(&half.bits, p, 2);
  return static_cast<float>(half);
}

/// f(q) of the 32 numbers of 4 bits.
template <class F>
void decode_nibbles(const std::byte* p, float* out, const F& f) {
  for (Index i = 0; i < 16; ++i) {
    const auto both = std::to_integer<int>(p[i]);
    out[i] = f(both & 15);
    out[16 + i] = f(both >> 4);
  }
}

inline void decode_block(BlockType type, const std::byte* p, float* out) {
  switch (type) {
    case BlockType::f32: std::memcpy(out, p, 4); return;
    case BlockType::f16: *out = half_at(p); return;
    case BlockType::bf16: {
      BFloat16 value;
      std::memcpy(&value.bits, p, 2);
      *out = static_cast<float>(value);
      return;
    }
    case BlockType::q8_0: {
      const float d = half_at(p);
      for (Index i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<std::int8_t>(p[2 + i])) * d;
      return;
    }
    case BlockType::q4_0: {
      const float d = half_at(p);
      return decode_nibbles(p + 2, out, [d](int q) { return static_cast<float>(q - 8) * d; });
    }
    case BlockType::q4_1: {
      const float d = half_at(p), m = half_at(p + 2);
      return decode_nibbles(p + 4, out, [d, m](int q) { return static_cast<float>(q) * d + m; });
    }
  }
}

}  // namespace detail

/// Rows [first, first + count) as floats, (count, columns). Throws ShapeError for rows that are not there.
inline void decode_rows(const BlockTensor& tensor, Index first, Index count, float* out) {
  require<ShapeError>(first >= 0 && count >= 0 && count <= tensor.rows() - first,
                      "decode: expected rows in [0, ", tensor.rows(), "), got ", count, " from ", first);
  const BlockFormat& format = format_of(tensor.type);
  const std::byte* p = tensor.bytes.data() + first * tensor.row_bytes();
  const Index blocks = count * (tensor.columns() / format.weights);
  if (tensor.type == BlockType::f32 && blocks > 0) {
    std::memcpy(out, p, static_cast<std::size_t>(4 * blocks));
    return;
  }
  for (Index b = 0; b < blocks; ++b)
    detail::decode_block(tensor.type, p + b * format.bytes, out + b * format.weights);
}

}  // namespace loru::inline LORU_ISA::io
