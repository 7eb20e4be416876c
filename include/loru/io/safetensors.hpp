#pragma once
// The safetensors format: how tensors stand in files and messages.
//
//   8 bytes   length of the header, little-endian
//   header    JSON: {"__metadata__": {"key": "text"}, "name": {"dtype": "F32", "shape": [2, 3],
//             "data_offsets": [begin, end]}, ...}, padded with spaces
//   data      little-endian, row-major, without holes or overlaps
//
// Specification: https://github.com/huggingface/safetensors#format. Equal archives give equal bytes: keys and
// data stand in name order. Reading is strict; of the types of the format, those of DType are known.

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/io/archive.hpp>
#include <loru/io/file.hpp>

namespace loru::inline LORU_ISA::io {

/// Bytes that serialise() would give.
LORU_INLINE std::size_t serialised_size(const Archive& archive);

/// put(bytes) for the pieces of what serialise() would give, in order, without making it; each is valid while
/// put runs. Throws as serialise does.
LORU_INLINE void for_each_piece(const Archive& archive,
                                const std::function<void(std::span<const std::byte>)>& put);

/// The archive as a message. Throws DataError if a name or metadata string is not UTF-8.
LORU_INLINE std::vector<std::byte> serialise(const Archive& archive);

/// The archive of a message, which it takes over: no tensor is copied. Throws DataError with origin, byte
/// offset and expectation if the message is malformed.
LORU_INLINE Archive parse(std::vector<std::byte>&& message, std::string_view origin = "message");

/// The archive of a message, copied once as a whole. Throws as above.
LORU_INLINE Archive parse(std::span<const std::byte> message, std::string_view origin = "message");

/// The archive of a message that the caller keeps alive and unchanged as long as the archive and its copies
/// live: no tensor is copied. Throws as above.
LORU_INLINE Archive borrow(std::span<const std::byte> message, std::string_view origin = "message");

/// Writes the archive as a file, atomically (see write_file). Throws IoError, and DataError as serialise
/// does.
LORU_INLINE void save(const std::filesystem::path& path, const Archive& archive);

/// Reads a file. Throws IoError, and DataError as parse does, naming the path.
LORU_INLINE Archive load(const std::filesystem::path& path);

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/safetensors_bodies.hpp>
#endif
