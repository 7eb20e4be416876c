#pragma once
// GGUF version 3: metadata and tensors, as ggml's programs publish models.
//
//   "GGUF", u32 version, u64 tensors, u64 pairs; the pairs: a key and a typed value; the tensors: name,
//   extents (the row's first), type, place; then, from a multiple of the alignment, their bytes
//
// Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/core/compiled.hpp>

namespace loru::inline LORU_ISA::io {

/// A value of the metadata; numbers are widened. Arrays hold values of one type.
struct GgufValue {
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string, std::vector<std::uint64_t>,
               std::vector<std::int64_t>, std::vector<double>, std::vector<bool>, std::vector<std::string>,
               std::vector<GgufValue>>
      value;
};

/// The content of a GGUF file. Tensors refer to its bytes and keep them alive.
class Gguf {
 public:
  /// Tensors whose type is none of BlockType are an error. Throws DataError with origin, byte and expectation
  /// if the bytes are malformed.
  LORU_INLINE static Gguf parse(std::vector<std::byte>&& bytes, std::string_view origin);

  /// Reads a file. Throws IoError, and DataError as parse does.
  LORU_INLINE static Gguf load(const std::filesystem::path& path);

  bool has(std::string_view key) const { return metadata.find(key) != metadata.end(); }

  // The value of a key as what it has to be. Each throws DataError naming the key.
  LORU_INLINE const std::string& text(std::string_view key) const;
  LORU_INLINE Index whole(std::string_view key, Index least, Index most) const;
  LORU_INLINE double number(std::string_view key) const;
  LORU_INLINE bool flag(std::string_view key) const;
  LORU_INLINE const std::vector<std::string>& texts(std::string_view key) const;
  LORU_INLINE std::vector<std::int64_t> wholes(std::string_view key) const;
  LORU_INLINE const std::vector<double>& numbers(std::string_view key) const;

  /// A tensor by name. Throws DataError if there is none.
  LORU_INLINE const BlockTensor& tensor(std::string_view name) const;

  std::string origin;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, BlockTensor, std::less<>> tensors;

 private:
  LORU_INLINE const GgufValue& value(std::string_view key) const;
  template <class V>
  const V& as(std::string_view key, std::string_view expectation) const;
};

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/gguf_bodies.hpp>
#endif
