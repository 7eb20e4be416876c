#pragma once
// IDX files: the format of MNIST and its descendants (http://yann.lecun.com/exdb/mnist, "THE IDX FILE
// FORMAT").
//
//   byte 0, 1   zero
//   byte 2      type: 08 unsigned byte, 09 signed byte, 0b 16-bit integer
//   byte 3      rank
//   then        the extents, 32-bit big-endian, and the values, row-major and big-endian

#include <cstdint>
#include <filesystem>
#include <variant>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/file.hpp>

namespace loru::inline LORU_ISA::data {

/// An array of an IDX file. Signed bytes are widened to 16 bits.
struct IdxArray {
  Shape shape;
  std::variant<std::vector<std::uint8_t>, std::vector<std::int16_t>> values;
};

/// The array in the content of an IDX file. Throws DataError naming path, byte offset and expectation.
LORU_INLINE IdxArray parse_idx(const Content& file);

/// The array of an IDX file, plain or gzip. Throws IoError if unreadable, DataError naming the offset if
/// malformed.
LORU_INLINE IdxArray read_idx(const std::filesystem::path& path);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/idx_bodies.hpp>
#endif
