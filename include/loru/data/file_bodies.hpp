#pragma once
// Bodies of file.hpp: reading and unzipping. The only header that includes zlib.

#include <algorithm>
#include <fstream>
#include <system_error>

#include <zlib.h>

#include <loru/data/file.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// zlib's decompressor for gzip streams.
class Inflater {
 public:
  explicit Inflater(std::span<const std::uint8_t> input) : input_{input} {
    require<DataError>(inflateInit2(&stream_, 15 + 16) == Z_OK, "zlib: cannot start a decompressor");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /// Decompresses into `out` until it is full or the member ends; `written` grows. Returns zlib's status.
  int run(std::span<std::uint8_t> out, std::size_t& written) {
    constexpr std::size_t chunk = std::size_t{1} << 30;  // zlib counts in 32 bits
    if (stream_.avail_in == 0) {
      const std::size_t next = consumed();
      stream_.next_in = const_cast<Bytef*>(input_.data() + next);
      stream_.avail_in = static_cast<uInt>(std::min(chunk, input_.size() - next));
    }
    const std::size_t room = std::min(chunk, out.size() - written);
    stream_.next_out = out.data() + written;
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    written += room - stream_.avail_out;
    return status;
  }

  /// Goes on with the next member of a file of several.
  void next_member() { inflateReset(&stream_); }

  std::size_t consumed() const {
    return stream_.next_in ? static_cast<std::size_t>(stream_.next_in - input_.data()) : 0;
  }
  bool at_end() const { return consumed() == input_.size(); }
  const char* message() const { return stream_.msg ? stream_.msg : "no message"; }

 private:
  std::span<const std::uint8_t> input_;
  z_stream stream_{};
};

/// The size that the last four bytes of a gzip file promise; only a hint, at most 16 times the file's own.
inline std::size_t promised_size(std::span<const std::uint8_t> gzip) {
  std::size_t promise = 0;
  for (std::size_t i = 0; i < 4 && i < gzip.size(); ++i) promise = promise << 8 | gzip[gzip.size() - 1 - i];
  return std::clamp<std::size_t>(promise + 1, 4096, 16 * gzip.size() + 4096);
}

}  // namespace detail

LORU_INLINE std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> gzip,
                                             const std::filesystem::path& path, const NeededBytes& needed) {
  constexpr std::size_t beginning = 64;
  const std::size_t promised = detail::promised_size(gzip);
  std::vector<std::uint8_t> out(needed ? beginning : std::min(promised, most_unzipped));
  detail::Inflater inflater{gzip};
  std::size_t written = 0, most = most_unzipped;
  const auto grow = [&] {  // false: there is enough
    if (needed && written == beginning) most = std::max(needed(out), beginning);
    if (written > most) return false;
    out.resize(std::min(written == beginning ? promised : 2 * written, most) + 1);
    return true;
  };
  for (;;) {
    if (written == out.size() && !grow()) break;
    const int status = inflater.run(out, written);
    if (status == Z_STREAM_END) {
      if (inflater.at_end()) break;
      inflater.next_member();
    } else if (status == Z_BUF_ERROR || (status == Z_OK && inflater.at_end() && written < out.size())) {
      fail<DataError>(path.string(), ": byte ", gzip.size(), ": truncated gzip: expected more after ",
                      written, " decompressed bytes");
    } else if (status != Z_OK) {
      fail<DataError>(path.string(), ": byte ", inflater.consumed(), ": corrupt gzip: zlib error ", status,
                      " (", inflater.message(), ")");
    }
  }
  require<DataError>(needed || written <= most, path.string(), ": expected at most ", most_unzipped,
                     " decompressed bytes, got more");
  out.resize(written);
  return out;
}

LORU_INLINE Content read_content(const std::filesystem::path& path, const NeededBytes& needed) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);  // an error for folders and devices
  require<IoError>(!error, path.string(), ": expected a readable file: ", error.message());
  std::ifstream file{path, std::ios::binary};
  require<IoError>(file.is_open(), path.string(), ": expected a readable file, cannot open it");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require<IoError>(file.gcount() == static_cast<std::streamsize>(bytes.size()), path.string(), ": expected ",
                   bytes.size(), " bytes, could read ", file.gcount());
  if (is_gzip(bytes)) return {path, gunzip(bytes, path, needed), true};
  return {path, std::move(bytes), false};
}

}  // namespace loru::inline LORU_ISA::data
