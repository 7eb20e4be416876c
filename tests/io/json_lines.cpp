#include <loru/io/json_lines.hpp>

#include <filesystem>
#include <nlohmann/json.hpp>

#include <loru/io/file.hpp>

#include "support/catch.hpp"

using namespace loru;

TEST_CASE("json lines: one value per line, there at once") {
  const auto path = std::filesystem::temp_directory_path() / "loru-test.jsonl";
  io::JsonLines lines{path};
  lines.append(nlohmann::json{{"round", 1}, {"note", "two\nlines"}});
  CHECK(io::read_text(path) == "{\"note\":\"two\\nlines\",\"round\":1}\n");
  lines.append(nlohmann::json::array({1, 2}));
  io::JsonLines{path, io::Existing::append}.append(nlohmann::json(0.5));
  CHECK(io::read_text(path) == "{\"note\":\"two\\nlines\",\"round\":1}\n[1,2]\n0.5\n");
  CHECK_THROWS_WITH(lines.append("\xff"),
                    path.native() + ": expected UTF-8 text, got invalid UTF-8 byte at index 0: 0xFF");
  CHECK_THROWS_AS(lines.append("\xff"), DataError);
  CHECK_THROWS_AS(io::JsonLines{path / "below"}, IoError);
  std::filesystem::remove(path);
}
