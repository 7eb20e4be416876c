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
    // The new name itself survives a power loss only once the folder is synchronised; not every file system
    // can.
    const Descriptor folder{path_.has_parent_path() ? path_.parent_path() : ".", O_RDONLY | O_DIRECTORY};
    const bool done = !folder || ::fsync(folder.get()) == 0 || errno == EINVAL || errno == ENOTSUP;
    check(done ? 0 : errno, "write");
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

/// Creates the folder and those above it; an existing folder is fine. Throws IoError with path and reason.
inline void make_directories(const std::filesystem::path& path) {
  std::error_code code;
  std::filesystem::create_directories(path, code);
  if (!code && !std::filesystem::is_directory(path, code) && !code)
    code.assign(ENOTDIR, std::generic_category());
  if (code) detail::fail_system(path, "create the folder", code.value());
}

}  // namespace loru::inline LORU_ISA::io
