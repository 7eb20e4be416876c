#pragma once
// Bodies of sets.hpp.

#include <algorithm>
#include <filesystem>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/text.hpp>
#include <loru/data/file.hpp>
#include <loru/data/text/sets.hpp>
#include <loru/io/csv.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

inline std::string read_text_file(const Path& path) {
  const Content content = read_content(path);
  return {content.bytes.begin(), content.bytes.end()};
}

/// f(line, number) for each line, numbered from 1, without its end.
template <class F>
void for_each_line(std::string_view text, const F& f) {
  for (Index number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    f(line, number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

/// Lines `class text`. Throws DataError with the line.
inline Corpus read_labelled_lines(const Path& path, Index most_classes) {
  Corpus corpus{path.string()};
  for_each_line(read_text_file(path), [&](std::string_view line, Index number) {
    if (line.empty()) return;
    const std::size_t blank = line.find(' ');
    const auto label = parse_number<std::int32_t>(line.substr(0, blank));
    require<DataError>(
        label && *label >= 0 && *label < most_classes && blank != line.npos && blank + 1 < line.size(),
        path.string(), ": line ", number, ": expected a class in [0, ", most_classes,
        "), a blank and a text, got \"", line.substr(0, 40), '"');
    corpus.labels.push_back(*label);
    corpus.texts.emplace_back(line.substr(blank + 1));
    corpus.classes = std::max<Index>(corpus.classes, *label + 1);
  });
  require<DataError>(!corpus.texts.empty(), path.string(),
                     ": expected lines of a class and a text, got none");
  return corpus;
}

inline FileSet text_files(const std::string& name, std::vector<std::string> files) {
  return {name, std::move(files), {}, {}, "`./dev data " + name + "`"};
}

}  // namespace detail

LORU_INLINE CorpusSplit sst2_texts(const Path& dir, std::span<const Path> also) {
  const FileSet set =
      detail::text_files("sst2", {"stsa.binary.train", "stsa.binary.dev", "stsa.binary.test"});
  const Folder folder = locate(set, dir, also);
  CorpusSplit split;
  Corpus* parts[] = {&split.train, &split.validation, &split.test};
  for (std::size_t i = 0; i < 3; ++i) {
    *parts[i] = detail::read_labelled_lines(folder.file(set.files[i]), 2);
    parts[i]->classes = 2;
  }
  return split;
}

LORU_INLINE CorpusSplit banking77_texts(const Path& dir, std::span<const Path> also) {
  const FileSet set = detail::text_files("banking77", {"train.csv", "test.csv"});
  const Folder folder = locate(set, dir, also);
  std::map<std::string, std::int32_t, std::less<>> classes;
  CorpusSplit split;
  for (const bool train : {true, false}) {
    const Path path = folder.file(set.files[train ? 0 : 1]);
    const io::CsvTable table = io::parse_csv(detail::read_text_file(path), path.string());
    const std::size_t text = table.column("text"), category = table.column("category");
    if (train) {
      for (const auto& row : table.rows) classes.emplace(row[category], 0);
      std::int32_t next = 0;
      for (auto& [name, id] : classes) id = next++;
    }
    Corpus& corpus = train ? split.train : split.test;
    corpus.name = path.string();
    corpus.classes = static_cast<Index>(classes.size());
    for (std::size_t i = 0; i < table.rows.size(); ++i) {
      const auto found = classes.find(table.rows[i][category]);
      require<DataError>(found != classes.end(), path.string(), ": row ", i + 1, ": expected a category of ",
                         set.files[0], ", got '", table.rows[i][category].substr(0, 80), "'");
      corpus.texts.push_back(table.rows[i][text]);
      corpus.labels.push_back(found->second);
    }
    require<DataError>(!corpus.texts.empty(), path.string(), ": expected at least one row, got none");
  }
  return split;
}

// ---- shakespeare ----

namespace detail {

/// The speeches of each speaker, in the order in which they first speak. A paragraph that begins with a line
/// `NAME:` is a speech.
inline std::vector<std::string> speeches(std::string_view text) {
  std::vector<std::string> all;
  std::map<std::string, std::size_t, std::less<>> speakers;
  std::string* speech = nullptr;
  bool begins = true;  // a paragraph
  for_each_line(text, [&](std::string_view line, Index) {
    if (line.empty()) {
      begins = true;
    } else if (begins && line.ends_with(':')) {
      const auto [speaker, fresh] = speakers.emplace(line.substr(0, line.size() - 1), all.size());
      if (fresh) all.emplace_back();
      speech = &all[speaker->second];
      begins = false;
    } else {
      begins = false;
      if (speech) (*speech += line) += '\n';
    }
  });
  return all;
}

/// The first `bytes` of a text of UTF-8, less what would cut a character.
inline std::string beginning(const std::string& text, std::size_t bytes) {
  if (bytes >= text.size()) return text;
  while (bytes > 0 && (text[bytes] & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

/// Takes the last part of each training text away to test on. Throws DataError for a text that is too short
/// for two.
inline void hold_out_ends(CorpusSplit& split, double share) {
  split.test = split.train;
  split.test.name += ", ends";
  for (std::size_t i = 0; i < split.train.texts.size(); ++i) {
    std::string& text = split.train.texts[i];
    const auto kept = static_cast<std::size_t>(static_cast<double>(text.size()) * (1.0 - share));
    const std::string first = beginning(text, kept);
    require<DataError>(!first.empty() && first.size() < text.size(), split.train.name, ": text ", i,
                       ": expected one long enough to test on its end, got ", text.size(), " bytes");
    split.test.texts[i] = text.substr(first.size());
    text = first;
  }
}

}  // namespace detail

LORU_INLINE CorpusSplit shakespeare_texts(const TextOptions& options, const Path& dir,
                                          std::span<const Path> also) {
  const FileSet set = detail::text_files("shakespeare", {"input.txt"});
  const Path path = locate(set, dir, also).file("input.txt");
  std::vector<std::string> texts = detail::speeches(detail::read_text_file(path));
  std::erase_if(
      texts, [&](const std::string& text) { return static_cast<Index>(text.size()) < options.characters; });
  const auto count = static_cast<Index>(texts.size());
  require<ConfigError>(options.speakers < count, "text.speakers: expected less than ", count,
                       ", the speakers with at least ", options.characters, " bytes in ", path.string(),
                       ", got ", options.speakers);
  CorpusSplit split{.train = {path.string()}, .test = {path.string() + ", other speakers"}};
  std::vector<Index> order(texts.size());
  std::iota(order.begin(), order.end(), Index{0});
  if (options.speakers > 0) rng::Stream(options.seed, rng::Purpose::split, 1).shuffle(std::span(order));
  const Index clients = options.speakers > 0 ? options.speakers : count;
  for (Index i = 0; i < count; ++i) {
    Corpus& corpus = i < clients ? split.train : split.test;
    const std::string& text = texts[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])];
    corpus.texts.push_back(
        i < clients ? text : detail::beginning(text, static_cast<std::size_t>(options.characters)));
    corpus.groups.push_back(static_cast<std::int32_t>(i));
  }
  if (options.speakers == 0) detail::hold_out_ends(split, 0.2);
  return split;
}

// ---- one's own ----

namespace detail {

/// The files of a folder in the order of their names, without hidden ones. Throws DataError for a folder in
/// it, IoError.
inline std::vector<Path> files_in(const Path& path) {
  std::error_code code;
  std::vector<Path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path, code)) {
    if (entry.path().filename().native().starts_with('.')) continue;
    require<DataError>(!entry.is_directory(), path.string(), ": expected files alone, got the folder ",
                       entry.path().filename().string());
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  require<IoError>(!code, path.string(), ": expected a readable folder: ", code.message());
  std::sort(files.begin(), files.end());
  return files;
}

inline Corpus read_own(const Path& path, TextTarget target) {
  if (target == TextTarget::label) return read_labelled_lines(path, Index{1} << 20);
  Corpus corpus{path.string()};
  std::error_code code;
  const bool folder = std::filesystem::is_directory(path, code);
  const std::vector<Path> files = folder ? files_in(path) : std::vector<Path>{path};
  for (const Path& file : files) {
    corpus.texts.push_back(read_text_file(file));
    require<DataError>(!corpus.texts.back().empty(), file.string(), ": expected a text, got an empty file");
    if (folder) corpus.groups.push_back(static_cast<std::int32_t>(corpus.groups.size()));
  }
  require<DataError>(!corpus.texts.empty(), path.string(),
                     ": expected files with texts, got an empty folder");
  return corpus;
}

}  // namespace detail

LORU_INLINE CorpusSplit own_texts(const ArrayFiles& files, TextTarget target, const Path& dir) {
  require<ConfigError>(!files.train.empty(), "text: expected a file or folder data.train, got none");
  CorpusSplit split{.train = detail::read_own(dir / files.train, target)};
  if (!files.test.empty()) {
    split.test = detail::read_own(dir / files.test, target);
    require<DataError>(split.test.classes <= split.train.classes, split.test.name,
                       ": expected classes below ", split.train.classes, " as in ", split.train.name,
                       ", got ", split.test.classes - 1);
    split.test.classes = split.train.classes;
    return split;
  }
  require<ConfigError>(target == TextTarget::next, "text: expected a file data.test, got none");
  detail::hold_out_ends(split, 0.1);
  return split;
}

}  // namespace loru::inline LORU_ISA::data
