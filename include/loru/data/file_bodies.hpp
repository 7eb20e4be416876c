#pragma once
// Bodies of file.hpp and locate.hpp: reading, unzipping and finding of files. The only header that includes
// zlib.

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include <zlib.h>

#include <loru/data/file.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

// ---- file.hpp ----

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

/// The size that the last four bytes of a gzip file promise; only a hint, bounded by deflate's best ratio.
inline std::size_t promised_size(std::span<const std::uint8_t> gzip) {
  std::size_t promise = 0;
  for (std::size_t i = 0; i < 4 && i < gzip.size(); ++i) promise = promise << 8 | gzip[gzip.size() - 1 - i];
  return std::clamp<std::size_t>(promise + 1, 4096, 1032 * gzip.size() + 4096);
}

}  // namespace detail

LORU_INLINE std::vector<std::uint8_t> gunzip(std::span<const std::uint8_t> gzip,
                                             const std::filesystem::path& path) {
  std::vector<std::uint8_t> out(detail::promised_size(gzip));
  detail::Inflater inflater{gzip};
  std::size_t written = 0;
  for (;;) {
    if (written == out.size()) out.resize(2 * out.size());
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
  out.resize(written);
  return out;
}

LORU_INLINE Content read_content(const std::filesystem::path& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);  // an error for folders and devices
  require<IoError>(!error, path.string(), ": expected a readable file: ", error.message());
  std::ifstream file{path, std::ios::binary};
  require<IoError>(file.is_open(), path.string(), ": expected a readable file, cannot open it");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  require<IoError>(file.gcount() == static_cast<std::streamsize>(bytes.size()), path.string(), ": expected ",
                   bytes.size(), " bytes, could read ", file.gcount());
  if (is_gzip(bytes)) return {path, gunzip(bytes, path), true};
  return {path, std::move(bytes), false};
}

// ---- locate.hpp ----

namespace detail {

/// True if there is something of that name; a folder that may not be entered holds nothing.
inline bool exists(const Path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// `folder` and the folders of the set inside it; these come first, since several sets share file names.
inline void append_candidates(std::vector<Path>& candidates, const Path& folder, const FileSet& set) {
  candidates.push_back(folder / set.name);
  for (const std::string& name : set.subfolders) candidates.push_back(folder / name);
  candidates.push_back(folder);
}

inline std::size_t files_present(const Path& folder, const FileSet& set) {
  std::size_t present = 0;
  for (const std::string& file : set.files) present += Folder{folder, &set}.has(file) ? 1 : 0;
  return present;
}

}  // namespace detail

LORU_INLINE Path plain_or_zipped(const Path& path) {
  const Path zipped = path.string() + ".gz";
  return !detail::exists(path) && detail::exists(zipped) ? zipped : path;
}

LORU_INLINE bool Folder::has(const std::string& name) const {
  return detail::exists(plain_or_zipped(path / name));
}

LORU_INLINE Path Folder::file(const std::string& name) const {
  require<DataError>(has(name), set->name, ": expected ", name, " or ", name, ".gz in ", path.string(),
                     ", found neither; get it with ", set->get);
  return plain_or_zipped(path / name);
}

LORU_INLINE std::vector<Path> search_path(const FileSet& set, const Path& dir, std::span<const Path> also) {
  std::vector<Path> candidates;
  if (!dir.empty()) {
    detail::append_candidates(candidates, dir, set);
    return candidates;
  }
  if (const char* variable = std::getenv("LORU_DATA_DIR"); variable && *variable)
    detail::append_candidates(candidates, variable, set);
  candidates.insert(candidates.end(), set.places.begin(), set.places.end());
  detail::append_candidates(candidates, "data", set);
  for (const Path& folder : also) detail::append_candidates(candidates, folder, set);
  return candidates;
}

LORU_INLINE Folder locate(const FileSet& set, const Path& dir, std::span<const Path> also) {
  const std::vector<Path> candidates = search_path(set, dir, also);
  for (const Path& folder : candidates)
    if (detail::files_present(folder, set) == set.files.size()) return {folder, &set};
  for (const Path& folder : candidates)
    if (detail::files_present(folder, set) > 0) return {folder, &set};
  std::string searched;
  for (const Path& folder : candidates) searched += (searched.empty() ? "" : ", ") + folder.string();
  fail<DataError>(set.name, ": data set not found: expected ", set.files.front(), " or ", set.files.front(),
                  ".gz in one of: ", searched, "; get it with ", set.get);
}

}  // namespace loru::inline LORU_ISA::data
