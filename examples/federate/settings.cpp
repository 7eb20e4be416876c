#include "settings.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include <toml++/toml.h>

#include "configuration.hpp"

namespace federate {

namespace {

void flatten(const toml::table& table, const std::string& prefix, Settings& settings) {
  for (const auto& [key, node] : table) {
    const std::string name = prefix + std::string(key.str());
    if (const toml::table* inner = node.as_table()) {
      flatten(*inner, name + '.', settings);
      continue;
    }
    std::ostringstream text;
    node.visit([&](const auto& value) { text << value; });
    settings[name] = text.str();
  }
}

std::set<std::string> keys_of(const Settings& a, const Settings& b) {
  std::set<std::string> keys;
  for (const Settings* settings : {&a, &b})
    for (const auto& [key, text] : *settings) keys.insert(key);
  return keys;
}

std::string value(const Settings& settings, const std::string& key) {
  const auto found = settings.find(key);
  return found == settings.end() ? "nothing" : found->second;
}

}  // namespace

Settings settings_of(const Configuration& configuration) {
  Settings settings;
  flatten(toml::parse(to_toml(configuration)), "", settings);
  return settings;
}

Settings read_settings(const std::string& file) { return settings_of(read_configuration(file, {})); }

bool has_to_agree(const std::string& key) {
  constexpr std::array<std::string_view, 8> own{"federation.rounds",       "federation.warmup_rounds",
                                                "federation.keep_best",    "federation.keep_rounds",
                                                "federation.stop_at",      "federation.aggregation_error",
                                                "federation.client_state", "federation.keep_merges"};
  if (std::find(own.begin(), own.end(), key) != own.end()) return false;
  constexpr std::array<std::string_view, 5> sections{"data.", "text.", "partition.", "task.", "federation."};
  return std::any_of(sections.begin(), sections.end(),
                     [&](auto section) { return key.starts_with(section); });
}

void require_equal(const Settings& expected, const std::string& expected_from, const Settings& got,
                   const std::string& got_from) {
  for (const std::string& key : keys_of(expected, got))
    loru::require<loru::ConfigError>(value(expected, key) == value(got, key), got_from, ": ", key,
                                     ": expected ", value(expected, key), " as in ", expected_from, ", got ",
                                     value(got, key));
}

void require_same_run(const Configuration& run, const Configuration& overridden, const std::string& who) {
  const Settings expected = settings_of(run), got = settings_of(overridden);
  for (const std::string& key : keys_of(expected, got))
    loru::require<loru::ConfigError>(key == "data.dir" || value(expected, key) == value(got, key), who, ": ",
                                     key, ": the run has ", value(expected, key), ", got ", value(got, key));
}

}  // namespace federate
