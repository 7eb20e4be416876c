#pragma once
// One process at a time in a run's folder.

#include <filesystem>
#include <optional>
#include <string>

namespace federate {

/// Holds a run's folder, which it makes if there is none: a lock on DIR/.lock, which has the holder's process
/// number and is removed at the end. The lock of a killed process is free. On a file system without locks
/// it holds nothing.
class FolderLock {
 public:
  /// Throws ConfigError "<who>: <folder> is in use by process <number>", IoError if no file can be there.
  FolderLock(const std::filesystem::path& folder, const std::string& who);
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

/// The number of the process that holds a folder; nothing if none does, or if the file system has no locks.
std::optional<std::string> lock_holder(const std::filesystem::path& folder);

}  // namespace federate
