#pragma once
// Bodies of locate.hpp.

#include <cstdlib>
#include <system_error>

#include <loru/core/error.hpp>
#include <loru/data/locate.hpp>

namespace loru::inline LORU_ISA::data {

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

/// A file of the set as errors name it.
inline std::string file_names(const FileSet& set, const std::string& name) {
  return set.zipped ? concat(name, " or ", name, ".gz") : name;
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
  return detail::exists(set->zipped ? plain_or_zipped(path / name) : path / name);
}

LORU_INLINE Path Folder::file(const std::string& name) const {
  require<DataError>(has(name), set->name, ": expected ", detail::file_names(*set, name), " in ",
                     path.string(), ", found ", set->zipped ? "neither" : "none", "; get it with ", set->get);
  return set->zipped ? plain_or_zipped(path / name) : path / name;
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
  fail<DataError>(set.name, ": data set not found: expected ", detail::file_names(set, set.files.front()),
                  " in one of: ", searched, "; get it with ", set.get);
}

}  // namespace loru::inline LORU_ISA::data
