#include "reference.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <sstream>

#include "key.hpp"

namespace federate {

namespace {

/// A key as it is listed. Algorithms that know one key with the same meaning share an entry.
struct Entry {
  std::string name, text;
  Values values;
  Json fallback;                        // the default; null if there is none to show
  std::vector<std::string> algorithms;  // that know it; none: all
};

/// The key's variable as JSON: null if it is not set, and for a table, which depends on the machine.
Json json_of(const Key& key) {
  toml::table table;
  key.write(table, "value");
  std::ostringstream text;
  text << toml::json_formatter{table};
  Json value = Json::parse(text.str()).value("value", Json());
  return value.is_object() || value == "" ? Json() : value;
}

bool alike(const Entry& a, const Entry& b) {
  return a.name == b.name && a.text == b.text && a.values.schema == b.values.schema &&
         a.fallback == b.fallback;
}

/// Every key with its default; those of algorithms stand behind the algorithm's name.
std::vector<Entry> entries() {
  Configuration configuration;
  const Keys keys = keys_of(configuration);
  std::vector<Entry> own;
  for (const auto& [algorithm, list] : keys.own)
    for (const Key& key : list) {
      const Entry entry{key.name, key.text, key.values, json_of(key), {algorithm}};
      const auto known =
          std::find_if(own.begin(), own.end(), [&](const Entry& other) { return alike(entry, other); });
      if (known == own.end())
        own.push_back(entry);
      else
        known->algorithms.push_back(algorithm);
    }
  std::vector<Entry> all;
  for (const Key& key : keys.common) {
    all.push_back({key.name, key.text, key.values, json_of(key), {}});
    if (key.name == "algorithm.name") all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

/// "of fedloru, mfedloru: rounds between two merges"
std::string meaning(const Entry& entry) {
  std::string text;
  for (const std::string& algorithm : entry.algorithms) text += (text.empty() ? "of " : ", ") + algorithm;
  return text.empty() ? entry.text : text + ": " + entry.text;
}

/// The schema of the table `name` within that of the table around it.
Json& table_in(Json& schema, const std::string& name) {
  Json& table = schema["properties"][name];
  if (table.is_null())
    table = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
  return table;
}

}  // namespace

void write_keys(std::ostream& out) {
  out << std::left << "| key | takes | default | meaning |\n|---|---|---|---|\n";
  for (const Entry& entry : entries()) {
    const std::string fallback = entry.fallback.is_null() ? "" : '`' + entry.fallback.dump() + '`';
    out << "| " << std::setw(30) << '`' + entry.name + '`' << " | " << std::setw(24) << entry.values.text
        << " | " << std::setw(10) << fallback << " | " << meaning(entry) << " |\n";
  }
}

void write_schema(std::ostream& out) {
  Json schema{
      {"$schema", "https://json-schema.org/draft/2020-12/schema"},
      {"title", "federate"},
      {"description", "A federation to run; data.name has to be given, here, in the base or by --set."},
      {"type", "object"},
      {"properties",
       {{"base",
         {{"type", "string"},
          {"description", "a file that is read first, from this one's folder; this one goes over it"}}}}},
      {"additionalProperties", false}};
  for (const Entry& entry : entries()) {
    Json* table = &schema;
    std::size_t begin = 0;
    for (std::size_t dot = entry.name.find('.'); dot != std::string::npos;
         begin = dot + 1, dot = entry.name.find('.', begin))
      table = &table_in(*table, entry.name.substr(begin, dot - begin));
    Json key = entry.values.schema;
    key["description"] = meaning(entry);
    if (!entry.fallback.is_null()) key["default"] = entry.fallback;
    Json& known = (*table)["properties"][entry.name.substr(begin)];
    if (known.is_null())
      known = key;
    else if (known.contains("anyOf"))
      known["anyOf"].push_back(key);
    else
      known = {{"anyOf", {known, key}}};  // algorithms that mean different things
  }
  Json& named = schema["properties"][std::string(table_by_name)];
  named["type"] = {"object", "string"};
  named["pattern"] = "^(cpu|cuda)$";  // of a string, which stands for the name
  out << schema.dump(2) << '\n';
}

}  // namespace federate
