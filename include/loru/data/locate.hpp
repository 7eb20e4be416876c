#pragma once
// Where the files of a data set lie on this machine.

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <loru/core/compiled.hpp>

namespace loru::inline LORU_ISA::data {

using Path = std::filesystem::path;

/// The files of a data set by name, and where to look for them.
struct FileSet {
  std::string name;
  std::vector<std::string> files;
  std::vector<std::string>
      subfolders;            // names of its own folder inside a folder of data sets, besides `name`
  std::vector<Path> places;  // fixed folders, such as the one of a package
  std::string get;           // the command that gets it, in backquotes
  bool zipped = true;        // whether FILE.gz stands for FILE
};

/// `path`, or `path`.gz where only that is there.
LORU_INLINE Path plain_or_zipped(const Path& path);

/// A folder that holds files of a data set.
struct Folder {
  Path path;
  const FileSet* set = nullptr;

  bool has(const std::string& name) const;

  /// FILE or FILE.gz in this folder. Throws DataError naming the file and the command that gets it.
  Path file(const std::string& name) const;
};

/// The folders that are searched, in order: `dir` alone if it is given; else $LORU_DATA_DIR, the set's fixed
/// places, ./data and `also`. In each but the fixed places the set's own folder comes before the folder
/// itself.
LORU_INLINE std::vector<Path> search_path(const FileSet& set, const Path& dir,
                                          std::span<const Path> also = {});

/// The first folder of the search path with all files of the set, else the first with some (reading then
/// names what it lacks). Throws DataError, with the folders searched and the command that gets the set, if
/// there is none.
LORU_INLINE Folder locate(const FileSet& set, const Path& dir, std::span<const Path> also = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/locate_bodies.hpp>
#endif
