#pragma once
// JSON lines (https://jsonlines.org): one JSON value per line, UTF-8, ended by a line feed.

#include <utility>

#include <loru/io/append_file.hpp>
#include <loru/io/detail/json.hpp>

namespace loru::inline LORU_ISA::io {

/// Appends one JSON value per line, written through to the system at once. Throws IoError with path and
/// reason, and DataError if a string in a value is not UTF-8.
class JsonLines {
 public:
  explicit JsonLines(std::filesystem::path path, Existing existing = Existing::replace)
      : file_{std::move(path), existing} {}

  void append(const nlohmann::json& value) {
    file_.write(detail::dump_json(value, file_.path().native()) + '\n');
  }

 private:
  AppendFile file_;
};

}  // namespace loru::io
