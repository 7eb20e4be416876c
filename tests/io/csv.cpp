#include <loru/io/csv.hpp>

#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

/// A file name of the test's own: tests run side by side.
std::filesystem::path table_path(const char* name) { return std::filesystem::temp_directory_path() / name; }

using Rows = std::vector<std::vector<std::string>>;

}  // namespace

TEST_CASE("csv: rows are in the file as soon as they are written") {
  const auto path = table_path("loru-test-rows.csv");
  io::CsvWriter writer{path, {"round", "loss", "note"}};
  CHECK(io::read_text(path) == "round,loss,note\n");
  writer.row({1, 0.1, "plain"});
  writer.row({2, std::nullopt, "a,b"});
  CHECK(io::read_text(path) == "round,loss,note\n1,0.1,plain\n2,,\"a,b\"\n");
  writer.row({std::size_t{3}, std::optional<double>{}, "say \"hi\""});
  writer.row({Index{4}, std::optional{2.5}, std::string{"two\nlines"}});
  const io::CsvTable table = io::read_csv(path);
  CHECK(table.columns == std::vector<std::string>{"round", "loss", "note"});
  CHECK(table.rows ==
        Rows{{"1", "0.1", "plain"}, {"2", "", "a,b"}, {"3", "", "say \"hi\""}, {"4", "2.5", "two\nlines"}});
  CHECK(table.number(0, "loss") == 0.1);
  CHECK(table.number(1, "loss") == std::nullopt);
  CHECK(table.number<int>(3, "round") == 4);
  CHECK_THROWS_WITH(table.number(0, "note"),
                    ContainsSubstring("column 'note': expected a number, got 'plain'"));
  CHECK_THROWS_WITH(table.number(0, "none"), ContainsSubstring("expected a column 'none'"));
  CHECK_THROWS_AS(table.number(9, "loss"), DataError);
  CHECK_THROWS_WITH(writer.row({1}), ContainsSubstring("expected a row of 3 fields, got 1"));
  std::filesystem::remove(path);
}

TEST_CASE("csv: numbers read back to the same value, in the shortest form") {
  CHECK(io::CsvField(0.1).quoted() == "0.1");
  CHECK(io::CsvField(0.1f).quoted() == "0.1");
  CHECK(io::CsvField(std::uint64_t{18446744073709551615u}).quoted() == "18446744073709551615");
  CHECK(io::CsvField(std::numeric_limits<double>::infinity()).quoted() == "inf");
  for (double value : {1.0 / 3, 1e-300, 5e-324, 1.7976931348623157e308, -0.0, 123456789012345678.0}) {
    const io::CsvTable table = io::parse_csv("x\n" + io::CsvField(value).quoted() + "\n");
    CHECK(table.number(0, "x") == value);
  }
}

TEST_CASE("csv: appending to a table that is there") {
  const auto path = table_path("loru-test-append.csv");
  { io::CsvWriter{path, {"a", "b"}}.row({1, 2}); }
  { io::CsvWriter{path, {"a", "b"}, io::Existing::append}.row({3, 4}); }
  CHECK(io::read_text(path) == "a,b\n1,2\n3,4\n");
  CHECK_THROWS_AS((io::CsvWriter{path, {"a", "c"}, io::Existing::append}), DataError);
  io::write_file(path, "a,b\n1,2");
  CHECK_THROWS_WITH((io::CsvWriter{path, {"a", "b"}, io::Existing::append}),
                    ContainsSubstring("end of the last row"));
  io::write_file(path, "");
  { io::CsvWriter{path, {"a", "b"}, io::Existing::append}.row({3, 4}); }
  CHECK(io::read_text(path) == "a,b\n3,4\n");
  { io::CsvWriter{path, {"a"}}.row({""}); }
  CHECK(io::read_csv(path).rows == Rows{{""}});
  CHECK_THROWS_AS((io::CsvWriter{path, {}}), ConfigError);
  CHECK_THROWS_AS((io::CsvWriter{path / "below", {"a"}}), IoError);
  std::filesystem::remove(path);
}

TEST_CASE("csv: both line ends, with and without the last") {
  const Rows rows{{"1", "2"}, {"3", ""}};
  CHECK(io::parse_csv("a,b\r\n1,2\r\n3,\r\n").rows == rows);
  CHECK(io::parse_csv("a,b\n1,2\n3,").rows == rows);
  CHECK(io::parse_csv("a,b").rows.empty());
  CHECK(io::parse_csv("\"a\"\"\",\"\n\"\n").columns == std::vector<std::string>{"a\"", "\n"});
}

TEST_CASE("csv: malformed tables name the place") {
  CHECK_THROWS_WITH(io::parse_csv("", "t.csv"),
                    "t.csv: byte 0: expected a line of column names, got nothing");
  CHECK_THROWS_WITH(io::parse_csv("a,b\n1\n", "t.csv"), "t.csv: byte 4: line 2: expected 2 fields, got 1");
  CHECK_THROWS_WITH(io::parse_csv("a,b\n1,2\n1,2,3\n"),
                    ContainsSubstring("byte 8: line 3: expected 2 fields, got 3"));
  CHECK_THROWS_WITH(io::parse_csv("a\n\"1\n", "t.csv"), "t.csv: byte 5: line 3: expected a closing quote");
  CHECK_THROWS_WITH(io::parse_csv("a\n\"1\"2\n"),
                    ContainsSubstring("byte 5: line 2: expected a comma or a line break"));
  CHECK_THROWS_WITH(io::parse_csv("a\n1\"2\n"),
                    ContainsSubstring("byte 3: line 2: expected a comma or a line break"));
  CHECK_THROWS_WITH(io::parse_csv("a\r1\n"),
                    ContainsSubstring("byte 1: line 1: expected a comma or a line break"));
}
