// What the program says of its own keys: the table, the schema and the README hold the same.

#include <map>
#include <set>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

/// The rows of a Markdown table, from its head to the first line that is none of it.
std::vector<std::string> table_in(const std::string& text) {
  std::vector<std::string> rows;
  for (const std::string& line : lines(text)) {
    if (line.starts_with("| key |") || (!rows.empty() && line.starts_with('|')))
      rows.push_back(line);
    else if (!rows.empty())
      break;
  }
  return rows;
}

std::string printed(const char* option) {
  const Scratch scratch;
  const Result result = federate(scratch.path, {option});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.empty());
  return result.out;
}

/// The keys that a schema describes, by name with their tables.
void collect(const nlohmann::ordered_json& schema, const std::string& table,
             std::map<std::string, nlohmann::ordered_json>& keys) {
  for (const auto& [name, value] : schema["properties"].items())
    if (value.contains("additionalProperties") && !value.contains("description"))
      collect(value, table + name + '.', keys);
    else
      keys[table + name] = value;
}

std::map<std::string, nlohmann::ordered_json> keys_of_schema() {
  std::map<std::string, nlohmann::ordered_json> keys;
  collect(nlohmann::ordered_json::parse(printed("--schema")), "", keys);
  return keys;
}

}  // namespace

TEST_CASE("the README's table of keys is what --keys prints") {
  const auto rows = table_in(printed("--keys"));
  const auto documented = table_in(read(fs::path(LORU_SOURCE_DIR) / "examples" / "federate" / "README.md"));
  REQUIRE(rows.size() > 50);
  INFO("after a change put the output of federate --keys into examples/federate/README.md");
  for (std::size_t i = 0; i < std::min(rows.size(), documented.size()); ++i) CHECK(documented[i] == rows[i]);
  CHECK(documented.size() == rows.size());
}

TEST_CASE("options --keys and --schema know the same keys") {
  auto schema = keys_of_schema();
  CHECK(schema.erase("base") == 1);
  std::set<std::string> listed, described;
  for (const std::string& row : table_in(printed("--keys")))
    if (const auto tick = row.find('`'); tick != std::string::npos)
      listed.insert(row.substr(tick + 1, row.find('`', tick + 1) - tick - 1));
  for (const auto& [name, key] : schema) described.insert(name);
  CHECK(listed == described);
}

TEST_CASE("a schema says type, range, words, default and meaning") {
  auto keys = keys_of_schema();
  CHECK(keys["lowrank.rank"] ==
        nlohmann::ordered_json::parse(R"({"type": "integer", "minimum": 1, "description": )" +
                                      keys["lowrank.rank"]["description"].dump() + R"(, "default": 16})"));
  CHECK(keys["optimizer.momentum"]["minimum"] == 0.0);
  CHECK(keys["optimizer.momentum"]["exclusiveMaximum"] == 1.0);
  CHECK(keys["optimizer.momentum"]["default"] == 0.9);
  CHECK(keys["federation.fraction"]["exclusiveMinimum"] == 0.0);
  CHECK_FALSE(keys["federation.fraction"].contains("default"));
  CHECK(keys["algorithm.merge"]["enum"] == nlohmann::ordered_json({"reinit", "keep"}));
  CHECK(keys["algorithm.merge"]["description"].get<std::string>().starts_with(
      "of fedloru, mfedloru, pfedloru: "));
  CHECK(keys["data.shape"]["minItems"] == 3);
  CHECK(keys["data.shape"]["default"] == nlohmann::ordered_json({1, 8, 8}));
}
