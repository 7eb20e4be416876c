#pragma once
// The bytes of a file, unzipped if they are gzip: the input of the readers of this room.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

/// The content of a file and where it came from. `unzipped` tells that offsets count decompressed bytes.
struct Content {
  std::filesystem::path path;
  std::vector<std::uint8_t> bytes;
  bool unzipped = false;

  Index size() const { return static_cast<Index>(bytes.size()); }

  /// The beginning of an error message: `PATH: byte 16` or `PATH: byte 16 (unzipped)`.
  std::string at(Index offset) const {
    return concat(path.string(), ": byte ", offset, unzipped ? " (unzipped)" : "");
  }
};

/// True if the bytes begin like a gzip file.
inline bool is_gzip(std::span<const std::uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/// Decompressed bytes of a gzip file of one or more members (RFC 1952). Throws DataError naming `path`, the
/// byte of the compressed file and zlib's complaint.
LORU_INLINE std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> gzip,
                                             const std::filesystem::path& path);

/// The content of a file, decompressed if it is gzip (whatever its name). Throws IoError if it cannot be
/// read, DataError if it is broken gzip.
LORU_INLINE Content read_content(const std::filesystem::path& path);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/file_bodies.hpp>
#endif
