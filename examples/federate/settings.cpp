#include "settings.hpp"

#include <algorithm>
#include <array>
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
  const auto value = [](const Settings& settings, const std::string& key) {
    const auto found = settings.find(key);
    return found == settings.end() ? std::string("nothing") : found->second;
  };
  Settings all = expected;
  all.insert(got.begin(), got.end());
  for (const auto& [key, text] : all)
    loru::require<loru::ConfigError>(value(expected, key) == value(got, key), got_from, ": ", key,
                                     ": expected ", value(expected, key), " as in ", expected_from, ", got ",
                                     value(got, key));
}

}  // namespace federate
