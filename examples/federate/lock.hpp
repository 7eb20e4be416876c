#pragma once
// One process at a time in a run's folder.

#include <filesystem>
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

}  // namespace federate
