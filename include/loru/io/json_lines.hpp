#pragma once
// JSON lines (https://jsonlines.org): one JSON value per line, UTF-8, ended by a line feed.

#include <concepts>
#include <string>
#include <utility>

#include <loru/io/append_file.hpp>

namespace loru::io {

/// A JSON value that can print itself on one line: nlohmann::json, without including its header here.
template <class J>
concept JsonValue = requires(const J& value) {
  { value.dump() } -> std::convertible_to<std::string>;
};

/// Appends one JSON value per line, written through to the system at once. Throws IoError with path and
/// reason.
class JsonLines {
 public:
  explicit JsonLines(std::filesystem::path path, Existing existing = Existing::replace)
      : file_{std::move(path), existing} {}

  void append(const JsonValue auto& value) { file_.write(std::string(value.dump()) + '\n'); }

 private:
  AppendFile file_;
};

}  // namespace loru::io
