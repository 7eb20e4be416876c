#include "lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include <loru/io/file.hpp>

namespace federate {

using loru::ConfigError, loru::fail, loru::IoError, loru::require;

namespace {

/// The file, opened and locked if the file system can; -1 if another process has it.
int open_locked(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  require<IoError>(descriptor >= 0, file.native(), ": cannot write: ", std::strerror(errno));
  constexpr int most_tries = 10;  // lock_holder() has a lock for an instant
  for (int tries = 1; ::flock(descriptor, LOCK_EX | LOCK_NB) != 0;) {
    if (errno == EINTR) continue;
    if (errno != EWOULDBLOCK) break;
    if (tries++ == most_tries) {
      ::close(descriptor);
      return -1;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return descriptor;
}

/// What its holder has written into the file.
std::string number_in(const std::filesystem::path& file) {
  const std::string holder = loru::io::read_text(file);
  return holder.empty() ? "unknown" : holder.substr(0, holder.find('\n'));
}

/// Whether the file still has its name: a holder that ends removes it.
bool has_name(int descriptor, const std::filesystem::path& file) {
  struct ::stat opened{}, named{};
  return ::fstat(descriptor, &opened) == 0 && ::stat(file.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder, const std::string& who)
    : file_{folder / ".lock"} {
  loru::io::make_directories(folder);
  for (;;) {
    descriptor_ = open_locked(file_);
    if (descriptor_ < 0)
      fail<ConfigError>(who, ": ", folder.native(), " is in use by process ", number_in(file_));
    if (has_name(descriptor_, file_)) break;
    ::close(descriptor_);
  }
  const std::string number = std::to_string(::getpid()) + '\n';
  const bool written = ::ftruncate(descriptor_, 0) == 0 &&
                       ::write(descriptor_, number.data(), number.size()) == std::ssize(number);
  if (written) return;
  const int code = errno;
  ::close(descriptor_);
  fail<IoError>(file_.native(), ": cannot write: ", std::strerror(code));
}

FolderLock::~FolderLock() {
  std::error_code code;
  std::filesystem::remove(file_, code);
  ::close(descriptor_);
}

std::optional<std::string> lock_holder(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / ".lock";
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return std::nullopt;
  const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  if (!held) return std::nullopt;
  try {
    return number_in(file);
  } catch (const IoError&) {
    return std::nullopt;  // it has ended since
  }
}

}  // namespace federate
