#pragma once
// A file that grows record by record while a run goes on.

#include <filesystem>
#include <span>
#include <string_view>

#include <loru/io/detail/descriptor.hpp>

namespace loru::inline LORU_ISA::io {

/// What to do with a file that exists already.
enum class Existing { replace, append };

/// Appends records; each is handed to the system in one write, so that a reader sees whole records, and none
/// is left in a buffer when the program ends. Throws IoError with path and reason.
class AppendFile {
 public:
  explicit AppendFile(std::filesystem::path path, Existing existing = Existing::replace)
      : path_{std::move(path)},
        file_{path_, O_WRONLY | O_CREAT | O_APPEND | (existing == Existing::replace ? O_TRUNC : 0)} {
    if (!file_) detail::fail_system(path_, "write", errno);
  }

  /// Appends the record as it is.
  void write(std::string_view record) {
    if (const int code = detail::write_all(file_, std::as_bytes(std::span{record})))
      detail::fail_system(path_, "write", code);
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  detail::Descriptor file_;
};

}  // namespace loru::inline LORU_ISA::io
