#pragma once
// The bytes of a file, unzipped if they are gzip: the input of the readers of this room.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

/// The content of a file and where it came from.
struct Content {
  std::filesystem::path path;
  std::vector<std::uint8_t> bytes;
  bool unzipped = false;  ///< offsets count decompressed bytes

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

/// How many bytes a format needs, from the first 64 bytes of a file or all that it has.
using NeededBytes = std::function<std::size_t(std::span<const std::uint8_t>)>;

/// The most bytes that a gzip file without a header of its own may hold: 1 GiB.
inline constexpr std::size_t most_unzipped = std::size_t{1} << 30;

/// Decompressed bytes of a gzip file of one or more members (RFC 1952). Where `needed` is given, no more than
/// one byte beyond what it asks for is decompressed. Throws DataError naming `path`, the byte of the
/// compressed file and zlib's complaint, and, without `needed`, for more than most_unzipped bytes.
LORU_INLINE std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> gzip,
                                             const std::filesystem::path& path,
                                             const NeededBytes& needed = {});

/// The content of a file, decompressed as gunzip() does if it is gzip (whatever its name). Throws IoError if
/// it cannot be read, DataError if it is broken gzip.
LORU_INLINE Content read_content(const std::filesystem::path& path, const NeededBytes& needed = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/file_bodies.hpp>
#endif
