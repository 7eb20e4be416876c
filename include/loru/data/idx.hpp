#pragma once
// IDX files: the format of MNIST and its descendants (http://yann.lecun.com/exdb/mnist, "THE IDX FILE
// FORMAT").
//
//   byte 0, 1   zero
//   byte 2      type: 08 unsigned byte, 09 signed byte, 0b 16-bit integer
//   byte 3      rank
//   then        the extents, 32-bit big-endian, and the values, row-major and big-endian

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/file.hpp>

namespace loru::inline LORU_ISA::data {

/// An array of an IDX file. Signed bytes are widened to 16 bits.
struct IdxArray {
  Shape shape;
  std::variant<std::vector<std::uint8_t>, std::vector<std::int16_t>> values;
};

namespace detail {

inline std::string hex(std::uint8_t byte) {
  constexpr const char* digits = "0123456789abcdef";
  return {digits[byte >> 4], digits[byte & 15]};
}

/// Bytes before the values of an IDX file of the given rank.
constexpr Index idx_header(Index rank) { return 4 + 4 * rank; }

inline void check_idx_magic(const Content& file) {
  const auto& b = file.bytes;
  require<DataError>(b.size() >= 4, file.at(file.size()), ": truncated: expected 4 bytes of magic, got ",
                     b.size());
  const bool known_type = b[2] == 0x08 || b[2] == 0x09 || b[2] == 0x0b;
  require<DataError>(b[0] == 0 && b[1] == 0 && known_type && b[3] >= 1 && b[3] <= 4, file.at(0),
                     ": bad magic: expected 00 00, a type 08, 09 or 0b and a rank 01 to 04, got ", hex(b[0]),
                     ' ', hex(b[1]), ' ', hex(b[2]), ' ', hex(b[3]));
}

/// The extents, once it is known that the file holds exactly their product times `width` bytes.
inline Shape read_idx_shape(const Content& file, Index width) {
  const Index rank = file.bytes[3], header = idx_header(rank);
  require<DataError>(file.size() >= header, file.at(file.size()), ": truncated: expected a header of ",
                     header, " bytes, got ", file.size());
  Shape shape;
  for (Index i = 0; i < rank; ++i) {
    std::uint32_t extent = 0;
    for (Index k = 0; k < 4; ++k) extent = extent << 8 | file.bytes[static_cast<std::size_t>(4 + 4 * i + k)];
    shape.push_back(static_cast<Index>(extent));
  }
  const Index present = file.size() - header;
  Index expected = std::find(shape.begin(), shape.end(), 0) == shape.end() ? width : 0;
  for (Index extent : shape) {  // stops before the product can overflow
    if (expected > present) break;
    expected *= extent;
  }
  require<DataError>(expected <= present, file.at(file.size()), ": truncated: shape ", shape, " of ", width,
                     "-byte values needs more than the ", present, " bytes after the header");
  require<DataError>(expected == present, file.at(header + expected),
                     ": expected the end of the file after shape ", shape, ", got ", present - expected,
                     " more bytes");
  return shape;
}

}  // namespace detail

/// The array in the content of an IDX file. Throws DataError naming path, byte offset and expectation.
inline IdxArray parse_idx(const Content& file) {
  detail::check_idx_magic(file);
  const std::uint8_t type = file.bytes[2];
  IdxArray array{detail::read_idx_shape(file, type == 0x0b ? 2 : 1), {}};
  const auto* first = file.bytes.data() + detail::idx_header(array.shape.rank());
  if (type == 0x08) {
    array.values = std::vector<std::uint8_t>(first, first + array.shape.size());
    return array;
  }
  auto& values =
      array.values.emplace<std::vector<std::int16_t>>(static_cast<std::size_t>(array.shape.size()));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = type == 0x09 ? static_cast<std::int8_t>(first[i])
                             : static_cast<std::int16_t>(first[2 * i] << 8 | first[2 * i + 1]);
  return array;
}

/// The array of an IDX file, plain or gzip. Throws IoError if unreadable, DataError naming the offset if
/// malformed.
inline IdxArray read_idx(const std::filesystem::path& path) { return parse_idx(read_content(path)); }

}  // namespace loru::data
