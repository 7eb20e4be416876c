#pragma once
// Whole files: read at once, written atomically.

#include <sys/stat.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/io/detail/descriptor.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// Reads the file into a container of bytes. Also files that do not tell their size, such as pipes.
template <class Container>
Container read_into(const std::filesystem::path& path) {
  const Descriptor file{path, O_RDONLY};
  if (!file) fail_system(path, "open for reading", errno);
  struct ::stat status{};
  if (::fstat(file.get(), &status) != 0) fail_system(path, "read", errno);
  Container content;
  content.resize(static_cast<std::size_t>(status.st_size) + 1);  // one more, to meet the end without growing
  std::size_t used = 0;
  for (;;) {
    if (used == content.size()) content.resize(2 * content.size());
    const ::ssize_t n = ::read(file.get(), content.data() + used, content.size() - used);
    if (n == 0) break;
    if (n < 0 && errno != EINTR) fail_system(path, "read", errno);
    if (n > 0) used += static_cast<std::size_t>(n);
  }
  content.resize(used);
  return content;
}

/// Synchronises a folder to disk: the names in it survive a power loss only then. The error, or 0, also where
/// the file system cannot.
inline int synchronise(const std::filesystem::path& folder) {
  const Descriptor opened{folder, O_RDONLY | O_DIRECTORY};
  const bool done = !opened || ::fsync(opened.get()) == 0 || errno == EINVAL || errno == ENOTSUP;
  return done ? 0 : errno;
}

/// The same for the folder that a path is in.
inline int synchronise_parent(const std::filesystem::path& path) {
  return synchronise(path.has_parent_path() ? path.parent_path() : ".");
}

/// Creates the folder, those above it first. The error, or 0.
inline int make_directories(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) return 0;
  if (const auto above = path.parent_path(); !above.empty() && above != path)
    if (const int error = make_directories(above)) return error;
  if (std::filesystem::create_directory(path, code)) return synchronise_parent(path);
  if (code) return code == std::errc::file_exists ? ENOTDIR : code.value();
  return std::filesystem::is_directory(path, code) ? 0 : code ? code.value() : ENOTDIR;
}

/// A file in the folder of `path` that did not exist before, removed unless renamed to `path` by commit().
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::filesystem::path& path) : path_{path}, file_{create()} {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  void write(std::span<const std::byte> bytes) { check(write_all(file_, bytes), "write"); }

  void commit() {
    check(::fsync(file_.get()) == 0 ? 0 : errno, "write");
    check(file_.close(), "write");
    check(::rename(temporary_.c_str(), path_.c_str()) == 0 ? 0 : errno, "write");
    temporary_.clear();
    check(synchronise_parent(path_), "write");
  }

  /// Whether a file has the name of one that was not committed.
  static bool is_left(const std::filesystem::path& file) {
    const std::string name = file.filename().string();
    return name.starts_with(prefix) && name.ends_with(suffix);
  }

 private:
  static constexpr const char *prefix = ".loru-", *suffix = ".tmp";

  Descriptor create() {
    static std::atomic<unsigned> counter{0};
    for (;;) {
      temporary_ = path_;
      temporary_.replace_filename(concat(prefix, ::getpid(), "-", counter++, suffix));
      Descriptor file{temporary_, O_WRONLY | O_CREAT | O_EXCL};
      if (file) return file;
      const int code = errno;
      if (code == EEXIST) continue;
      temporary_.clear();
      fail_system(path_, "write", code);
    }
  }
  void check(int code, const char* action) const {
    if (code != 0) fail_system(path_, action, code);
  }

  std::filesystem::path path_, temporary_;
  Descriptor file_;
};

}  // namespace detail

/// The content of a file. Throws IoError with path and reason.
inline std::vector<std::byte> read_file(const std::filesystem::path& path) {
  return detail::read_into<std::vector<std::byte>>(path);
}

/// The content of a file as text, unchanged. Throws IoError with path and reason.
inline std::string read_text(const std::filesystem::path& path) {
  return detail::read_into<std::string>(path);
}

/// Writes the pieces that write(put) gives to put(bytes), one after the other, as the file `path`,
/// atomically: into a temporary file of the same folder, synchronised to disk, then renamed. Whatever
/// happens, `path` holds the old content or the new one, whole. Throws IoError with path and reason, also
/// if `path` exists and is no regular file.
template <class F>
void write_pieces(const std::filesystem::path& path, F write) {
  std::error_code ignored;
  const auto status = std::filesystem::status(path, ignored);
  require<IoError>(!std::filesystem::exists(status) || std::filesystem::is_regular_file(status),
                   path.native(), ": cannot write: expected a regular file under this name");
  detail::TemporaryFile file{path};
  write([&](std::span<const std::byte> piece) { file.write(piece); });
  file.commit();
}

/// Writes the pieces as the file `path`, atomically. Throws IoError.
inline void write_file(const std::filesystem::path& path,
                       std::span<const std::span<const std::byte>> pieces) {
  write_pieces(path, [&](const auto& put) {
    for (const auto& piece : pieces) put(piece);
  });
}

/// Writes bytes as the file `path`, atomically. Throws IoError.
inline void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  write_file(path, std::span<const std::span<const std::byte>>{&bytes, 1});
}

/// Writes text as the file `path`, atomically. Throws IoError.
inline void write_file(const std::filesystem::path& path, std::string_view text) {
  write_file(path, std::as_bytes(std::span{text}));
}

/// Removes the temporary files that a killed program left in the folder. Nobody may be writing there.
inline void remove_temporaries(const std::filesystem::path& folder) {
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code))
    if (detail::TemporaryFile::is_left(entry.path())) std::filesystem::remove(entry.path(), code);
}

/// Synchronises the names in a folder to disk, after a file in it was removed. Throws IoError.
inline void synchronise_folder(const std::filesystem::path& folder) {
  if (const int code = detail::synchronise(folder)) detail::fail_system(folder, "write", code);
}

/// Creates the folder and those above it, and synchronises the names of those that it makes to disk; an
/// existing folder is fine. Throws IoError with path and reason.
inline void make_directories(const std::filesystem::path& path) {
  if (const int code = detail::make_directories(path)) detail::fail_system(path, "create the folder", code);
}

}  // namespace loru::inline LORU_ISA::io
