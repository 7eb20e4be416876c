#pragma once
// Weights in the forms of GGUF: floats of three sizes, and blocks of 32 small whole numbers with their scale.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include <loru/core/error.hpp>
#include <loru/core/half.hpp>
#include <loru/core/shape.hpp>
#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA {

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

  Index rank() const { return shape.rank(); }
  Index dim(Index i) const { return shape[i]; }
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

/// f(q) of the 32 numbers of 4 bits, eight bytes at a time.
template <class F>
void decode_nibbles(const std::byte* p, float* out, const F& f) {
  std::uint64_t both[2], q[4];
  std::memcpy(both, p, 16);
  for (std::size_t i = 0; i < 2; ++i) {
    q[i] = both[i] & 0x0f0f0f0f0f0f0f0f;
    q[2 + i] = both[i] >> 4 & 0x0f0f0f0f0f0f0f0f;
  }
  std::int8_t each[32];
  std::memcpy(each, q, 32);
  for (Index i = 0; i < 32; ++i) out[i] = f(static_cast<float>(each[i]));
}

inline void decode_q8_0(const std::byte* p, float* out) {
  const float d = half_at(p);
  std::int8_t q[32];
  std::memcpy(q, p + 2, 32);
  for (Index i = 0; i < 32; ++i) out[i] = static_cast<float>(q[i]) * d;
}

inline void decode_q4_0(const std::byte* p, float* out) {
  decode_nibbles(p + 2, out, [d = half_at(p)](float q) { return (q - 8.0f) * d; });
}

inline void decode_q4_1(const std::byte* p, float* out) {
  decode_nibbles(p + 4, out, [d = half_at(p), m = half_at(p + 2)](float q) { return q * d + m; });
}

/// Floats of two bytes.
template <class Small>
void widen(const std::byte* p, Index count, float* out) {
  for (Index i = 0; i < count; ++i) {
    Small small;
    std::memcpy(&small.bits, p + 2 * i, 2);
    out[i] = static_cast<float>(small);
  }
}

}  // namespace detail

/// Rows [first, first + count) as floats, (count, columns). Throws ShapeError for rows that are not there.
inline void decode_rows(const BlockTensor& tensor, Index first, Index count, float* out) {
  require<ShapeError>(first >= 0 && count >= 0 && count <= tensor.rows() - first,
                      "decode: expected rows in [0, ", tensor.rows(), "), got ", count, " from ", first);
  const std::byte* p = tensor.bytes.data() + first * tensor.row_bytes();
  const Index numbers = count * tensor.columns();
  const auto each_block = [&](auto decode) {
    const BlockFormat& format = format_of(tensor.type);
    for (Index i = 0; i < numbers; i += format.weights, p += format.bytes) decode(p, out + i);
  };
  switch (tensor.type) {
    case BlockType::f32:
      if (numbers > 0) std::memcpy(out, p, static_cast<std::size_t>(4 * numbers));
      return;
    case BlockType::f16: return detail::widen<Half>(p, numbers, out);
    case BlockType::bf16: return detail::widen<BFloat16>(p, numbers, out);
    case BlockType::q8_0: return each_block(detail::decode_q8_0);
    case BlockType::q4_0: return each_block(detail::decode_q4_0);
    case BlockType::q4_1: return each_block(detail::decode_q4_1);
  }
}

/// All of it as floats.
inline Tensor<float> decoded(const BlockTensor& tensor) {
  Tensor<float> values(tensor.shape);
  decode_rows(tensor, 0, tensor.rows(), values.data());
  return values;
}

}  // namespace loru::inline LORU_ISA
