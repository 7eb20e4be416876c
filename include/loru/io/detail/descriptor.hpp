#pragma once
// A POSIX file descriptor that closes itself, and the IoError that a failed system call becomes.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include <loru/core/error.hpp>

namespace loru::inline LORU_ISA::io::detail {

/// Throws IoError "PATH: cannot ACTION: REASON" with the system's text for `code`.
[[noreturn]] inline void fail_system(const std::filesystem::path& path, const char* action, int code) {
  fail<IoError>(path.native(), ": cannot ", action, ": ", std::generic_category().message(code));
}

/// Owner of an open file.
class Descriptor {
 public:
  /// open(2), close-on-exec, repeated when a signal interrupts it. Check the result with `operator bool`.
  Descriptor(const std::filesystem::path& path, int flags) {
    do fd_ = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
    while (fd_ < 0 && errno == EINTR);
  }
  Descriptor(Descriptor&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  explicit operator bool() const { return fd_ >= 0; }
  int get() const { return fd_; }

  /// Closes the file now; errno if the system reports a late failure, else 0.
  int close() { return ::close(std::exchange(fd_, -1)) == 0 ? 0 : errno; }

 private:
  int fd_ = -1;
};

/// Writes all bytes, continuing after short writes and signals. Returns 0, or errno of the failure.
inline int write_all(const Descriptor& file, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ::ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
    if (n < 0 && errno != EINTR) return errno;
    if (n > 0) bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

}  // namespace loru::inline LORU_ISA::io::detail
