#pragma once
// Comma-separated tables after RFC 4180: a line of column names, then rows; fields with a comma, a quote or
// a line break are quoted, quotes inside are doubled. Lines are written with LF and read with LF or CRLF.

#include <algorithm>
#include <concepts>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/core/shape.hpp>
#include <loru/core/text.hpp>
#include <loru/io/append_file.hpp>
#include <loru/io/file.hpp>

namespace loru::inline LORU_ISA::io {

/// The text of one field: text as it is, numbers in the shortest form that reads back to the same value, an
/// empty optional as nothing.
class CsvField {
 public:
  CsvField(std::string text) : text_{std::move(text)} {}
  CsvField(std::string_view text) : text_{text} {}
  CsvField(const char* text) : text_{text} {}
  CsvField(std::nullopt_t) {}
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  CsvField(T number) {
    static_assert(!std::same_as<T, bool> && !std::same_as<T, char>, "expected a number or text");
    text_ = to_text(number);
  }
  template <class T>
  CsvField(const std::optional<T>& value) {
    if (value) *this = CsvField(*value);
  }

  /// The field as it stands in the file, quoted if it has to be.
  std::string quoted() const {
    if (text_.find_first_of(",\"\r\n") == std::string::npos) return text_;
    std::string out = "\"";
    for (char c : text_) out.append(c == '"' ? 2 : 1, c);
    return out += '"';
  }

 private:
  std::string text_;
};

/// Writes a table row by row; each row is handed to the system immediately. Throws IoError with path and
/// reason.
class CsvWriter {
 public:
  /// Creates the file with the line of column names; with Existing::append the file must begin with it
  /// already. Throws DataError if it does not, or if its last row is not whole.
  CsvWriter(std::filesystem::path path, std::vector<std::string> columns,
            Existing existing = Existing::replace);

  /// Appends a row. Throws ConfigError if it has not one field per column.
  void row(const std::vector<CsvField>& fields) {
    require<ConfigError>(fields.size() == columns_, file_.path().native(), ": expected a row of ", columns_,
                         " fields, got ", fields.size());
    file_.write(line(fields));
  }

  /// The line of a row, with its end.
  static std::string line(const std::vector<CsvField>& fields) {
    std::string out;
    for (const CsvField& field : fields) (out += field.quoted()) += ',';
    if (fields.size() == 1 && out == ",") out = "\"\",";  // a lone empty field, told from an empty line
    if (!out.empty()) out.back() = '\n';
    return out;
  }

 private:
  AppendFile file_;
  std::size_t columns_;
};

/// A table as text.
struct CsvTable {
  std::string origin;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;

  /// Position of a column. Throws DataError naming it if there is none.
  std::size_t column(std::string_view name) const {
    const auto found = std::find(columns.begin(), columns.end(), name);
    require<DataError>(found != columns.end(), origin, ": expected a column '", name, "'");
    return static_cast<std::size_t>(found - columns.begin());
  }

  /// The field of a row and a named column as text. Throws DataError if there is no such row or column.
  const std::string& text(std::size_t row, std::string_view name) const {
    require<DataError>(row < rows.size(), origin, ": expected a row ", row, ", got ", rows.size(), " rows");
    return rows[row][column(name)];
  }

  /// The same as a number; nothing if the field is empty. Throws DataError if it is not a number.
  template <class T = double>
  std::optional<T> number(std::size_t row, std::string_view name) const {
    const std::string& field = text(row, name);
    if (field.empty()) return std::nullopt;
    const std::optional<T> value = parse_number<T>(field);
    require<DataError>(value.has_value(), origin, ": row ", row, ", column '", name,
                       "': expected a number, got '", field, "'");
    return value;
  }
};

namespace detail {

/// Reads fields off a text; `at` is the byte offset of what comes next.
class CsvScanner {
 public:
  CsvScanner(std::string_view text, std::string_view origin) : text_{text}, origin_{origin} {}

  bool done() const { return at_ == text_.size(); }
  std::size_t offset() const { return at_; }

  /// Where a byte stands, for messages; lines count from 1.
  std::string place(std::size_t at) const {
    return concat(origin_, ": byte ", at, ": line ", 1 + std::count(text_.data(), text_.data() + at, '\n'));
  }

  /// The fields up to the next line break.
  std::vector<std::string> row() {
    std::vector<std::string> fields;
    do fields.push_back(next(0) == '"' ? quoted_field() : plain_field());
    while (take(','));
    if (!take('\n') && !(next(0) == '\r' && next(1) == '\n' && (at_ += 2)))
      check(done(), "a comma or a line break");
    return fields;
  }

 private:
  int next(std::size_t ahead) const {
    return at_ + ahead < text_.size() ? static_cast<unsigned char>(text_[at_ + ahead]) : -1;
  }
  bool take(char c) {
    const bool here = next(0) == c;
    at_ += here;
    return here;
  }
  void check(bool condition, const char* expectation) const {
    if (!condition) fail<DataError>(place(at_), ": expected ", expectation);
  }
  std::string plain_field() {
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_of(",\"\r\n", begin), text_.size());
    return std::string(text_.substr(begin, at_ - begin));
  }
  std::string quoted_field() {
    std::string field;
    ++at_;
    for (;;) {
      const std::size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) at_ = text_.size();
      check(quote != std::string_view::npos, "a closing quote");
      field += text_.substr(at_, quote - at_);
      at_ = quote + 1;
      if (!take('"')) return field;
      field += '"';
    }
  }

  std::string_view text_, origin_;
  std::size_t at_ = 0;
};

}  // namespace detail

/// Reads a table from text. Throws DataError with origin, byte offset and line if it is malformed or a row
/// has another number of fields than there are columns.
inline CsvTable parse_csv(std::string_view text, std::string_view origin = "csv") {
  detail::CsvScanner scanner{text, origin};
  require<DataError>(!scanner.done(), origin, ": byte 0: expected a line of column names, got nothing");
  CsvTable table{std::string(origin), scanner.row(), {}};
  while (!scanner.done()) {
    const std::size_t at = scanner.offset();
    table.rows.push_back(scanner.row());
    if (const std::size_t fields = table.rows.back().size(); fields != table.columns.size())
      fail<DataError>(scanner.place(at), ": expected ", table.columns.size(), " fields, got ", fields);
  }
  return table;
}

/// Reads a table from a file. Throws IoError, and DataError as parse_csv does.
inline CsvTable read_csv(const std::filesystem::path& path) {
  return parse_csv(read_text(path), path.native());
}

inline CsvWriter::CsvWriter(std::filesystem::path path, std::vector<std::string> columns, Existing existing)
    : file_{std::move(path), existing}, columns_{columns.size()} {
  require<ConfigError>(!columns.empty(), file_.path().native(), ": expected at least one column");
  const std::string text = existing == Existing::append ? read_text(file_.path()) : std::string{};
  if (text.empty()) {
    file_.write(line({columns.begin(), columns.end()}));
    return;
  }
  const CsvTable present = parse_csv(text, file_.path().native());
  require<DataError>(present.columns == columns, present.origin,
                     ": byte 0: expected the columns to append to");
  require<DataError>(text.back() == '\n', present.origin, ": byte ", text.size(),
                     ": expected the end of the last row");
}

}  // namespace loru::inline LORU_ISA::io
