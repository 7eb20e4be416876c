#pragma once
// Reading and writing of safetensors. Includes a JSON library.

#include <loru/io/detail/safetensors_header.hpp>
#include <loru/io/safetensors.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// Longest header that is read, as in the reference implementation.
inline constexpr std::size_t max_header_bytes = 100'000'000;

/// The header of a message, checked, and the place where its data begin.
inline std::pair<Header, std::size_t> read_header(std::span<const std::byte> bytes, std::string_view origin) {
  require<DataError>(bytes.size() >= 8, origin, ": byte ", bytes.size(),
                     ": expected 8 bytes of header length, got ", bytes.size());
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  require<DataError>(length <= max_header_bytes, origin, ": byte 0: expected a header of at most ",
                     max_header_bytes, " bytes, got length ", length);
  const auto header_bytes = static_cast<std::size_t>(length);
  require<DataError>(header_bytes <= bytes.size() - 8, origin, ": byte 0: expected a header of ",
                     header_bytes, " bytes, got ", bytes.size() - 8, " bytes after its length");
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes};
  require<DataError>(text.substr(0, 1) == "{", origin, ": byte 8: expected the header to begin with '{'");
  return {HeaderReader{text, bytes.size() - 8 - header_bytes, origin}.read(), 8 + header_bytes};
}

/// The archive of a message whose bytes `owner` keeps alive.
inline Archive parse_in_place(std::span<const std::byte> bytes, std::string_view origin,
                              const std::shared_ptr<const void>& owner) {
  auto [header, data_begin] = read_header(bytes, origin);
  Archive archive{origin};
  archive.metadata() = std::move(header.metadata);
  for (auto& [name, place] : header.tensors)
    archive.put_raw(name, {place.dtype, place.shape,
                           bytes.subspan(data_begin + place.begin, place.end - place.begin), owner});
  return archive;
}

}  // namespace detail

LORU_INLINE std::size_t serialised_size(const Archive& archive) {
  std::size_t size = detail::write_header(archive).size();
  for (const auto& [name, raw] : archive.tensors()) size += raw.size_bytes();
  return size;
}

LORU_INLINE void for_each_piece(const Archive& archive,
                                const std::function<void(std::span<const std::byte>)>& put) {
  const std::string header = detail::write_header(archive);
  put(std::as_bytes(std::span{header}));
  for (const auto& [name, raw] : archive.tensors()) raw.for_each_piece(put);
}

LORU_INLINE std::vector<std::byte> serialise(const Archive& archive) {
  const std::string header = detail::write_header(archive);
  std::size_t size = header.size();
  for (const auto& [name, raw] : archive.tensors()) size += raw.size_bytes();
  std::vector<std::byte> out;
  out.reserve(size);
  const auto add = [&](std::span<const std::byte> piece) {
    out.insert(out.end(), piece.begin(), piece.end());
  };
  add(std::as_bytes(std::span{header}));
  for (const auto& [name, raw] : archive.tensors()) raw.for_each_piece(add);
  return out;
}

LORU_INLINE Archive parse(std::vector<std::byte>&& message, std::string_view origin) {
  auto owner = std::make_shared<const std::vector<std::byte>>(std::move(message));
  return detail::parse_in_place(*owner, origin, owner);
}

LORU_INLINE Archive parse(std::span<const std::byte> message, std::string_view origin) {
  return parse(std::vector<std::byte>(message.begin(), message.end()), origin);
}

LORU_INLINE Archive borrow(std::span<const std::byte> message, std::string_view origin) {
  return detail::parse_in_place(message, origin, nullptr);
}

LORU_INLINE void save(const std::filesystem::path& path, const Archive& archive) {
  write_pieces(path, [&](const auto& put) { for_each_piece(archive, put); });
}

LORU_INLINE Archive load(const std::filesystem::path& path) { return parse(read_file(path), path.native()); }

}  // namespace loru::inline LORU_ISA::io
