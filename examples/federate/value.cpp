#include "value.hpp"

#include <limits>
#include <sstream>

#include <loru/core/text.hpp>
#include <loru/io/file.hpp>

namespace federate {

using loru::concat, loru::ConfigError, loru::fail;

namespace {

constexpr std::string_view adapter_prefix = "peft:";

/// A value as errors show it, in a line: `string "cnn"`, `integer 3`, `table`; what is long is cut.
std::string shown(const toml::node& node) {
  constexpr std::size_t most = 100;
  if (node.is_table()) return concat(node.type());
  constexpr auto flags = toml::toml_formatter::default_flags & ~toml::format_flags::allow_multi_line_strings;
  std::stringstream words;
  words << toml::toml_formatter{node, flags};
  std::string text = concat(node.type());
  for (std::string line; std::getline(words >> std::ws, line);) text += ' ' + line;
  if (text.size() <= most) return text;
  std::size_t end = most;
  while ((static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;  // a character of UTF-8 stays whole
  return text.substr(0, end) + " ...";
}

[[noreturn]] void mismatch(const std::string& expected, const toml::node& node,
                           const std::string& hint = "") {
  fail<ConfigError>("expected ", expected, ", got ", shown(node), hint);
}

/// The string, which no path, name or text may have a NUL in: the system would cut it there.
const std::string& string_of(const toml::node& node) {
  if (!node.is_string()) mismatch("a string", node);
  const std::string& text = node.as_string()->get();
  if (text.find('\0') != std::string::npos) mismatch("a string without NUL", node);
  return text;
}

/// `"a", "b" or "c"`.
std::string alternatives(std::span<const std::string> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 < words.size() ? ", " : " or ", '"', words[i], '"');
  return text;
}

/// The elements of a list of `count`, or of any number for 0, read one by one.
template <class V, class ReadElement>
std::vector<V> read_list(const toml::node& node, const char* elements, Index count,
                         ReadElement read_element) {
  const toml::array* array = node.as_array();
  if (!array || (count != 0 && static_cast<Index>(array->size()) != count))
    mismatch(count == 0 ? concat("a list of ", elements) : concat("a list of ", count, ' ', elements), node);
  std::vector<V> values;
  for (const toml::node& element : *array) read_element(element, values.emplace_back());
  return values;
}

}  // namespace

std::size_t find_word(const toml::node& node, std::span<const std::string> words) {
  const std::string given = node.is_string() ? node.as_string()->get() : "";
  for (std::size_t i = 0; i < words.size(); ++i)
    if (node.is_string() && words[i] == given) return i;
  mismatch(alternatives(words), node,
           node.is_string() ? concat(", nearest is \"", loru::nearest(given, words), '"') : "");
}

// ---- reading ----

toml::table parse_value(const std::string& text, const std::string& origin) {
  toml::table parsed;
  try {
    parsed = toml::parse("value = " + text, origin);
  } catch (const toml::parse_error&) {}
  if (parsed.size() != 1) parsed = toml::table{{"value", text}};
  return parsed;
}

void read(const toml::node& node, Index& value, const Range<Index>& range) {
  const auto* given = node.as_integer();
  if (!given || !range.holds(given->get())) mismatch(text(range), node);
  value = given->get();
}

void read(const toml::node& node, std::uint64_t& value, const Range<Index>& range) {
  Index given = 0;
  read(node, given, range);
  value = static_cast<std::uint64_t>(given);
}

void read(const toml::node& node, double& value, const Range<double>& range) {
  const double given = node.is_number() ? *node.value<double>() : std::numeric_limits<double>::quiet_NaN();
  if (!range.holds(given)) mismatch(text(range), node);
  value = given;
}

void read(const toml::node& node, bool& value, Anything) {
  if (!node.is_boolean()) mismatch("true or false", node);
  value = node.as_boolean()->get();
}

void read(const toml::node& node, std::string& value, Anything) { value = string_of(node); }

void read(const toml::node& node, std::string& value, Names names) {
  const Strings known = names.list();
  value = known[find_word(node, known)];
}

void read(const toml::node& node, Path& value, Anything) {
  std::string given;
  read(node, given, Anything{});
  value = given;
}

void read(const toml::node& node, Strings& value, Anything) {
  value = read_list<std::string>(node, "strings", 0, [&](const toml::node& element, std::string& string) {
    if (!element.is_string()) mismatch("a list of strings", node);
    string = string_of(element);
  });
}

void read(const toml::node& node, Strings& value, Names names) {
  read(node, value, Anything{});
  for (const toml::node& element : *node.as_array()) find_word(element, names.list());
}

void read(const toml::node& node, std::vector<Index>& value, const Each<Index>& each) {
  value = read_list<Index>(node, "whole numbers", each.count, [&](const toml::node& element, Index& number) {
    read(element, number, each.range);
  });
}

void read(const toml::node& node, std::vector<double>& value, const Each<double>& each) {
  value = read_list<double>(node, "numbers", each.count, [&](const toml::node& element, double& number) {
    read(element, number, each.range);
  });
}

void read(const toml::node& node, std::vector<Index>& value, Rounds rounds) {
  read(node, value, Each<Index>{loru::range::at_least(rounds.first)});
  const std::string wrong = loru::detail::mistake(value, rounds);
  if (!wrong.empty()) fail<ConfigError>(wrong);
}

void read(const toml::node& node, loru::Shape& value, const Each<Index>& each) {
  std::vector<Index> extents;
  read(node, extents, each);
  value = {};
  for (const Index extent : extents) value.push_back(extent);
}

void read(const toml::node& node, loru::lowrank::Rates& value, Anything) {
  if (node.is_string()) {
    const std::string& file = string_of(node);
    value = loru::lowrank::parse_rates(loru::io::read_text(file), file, value);
    return;
  }
  if (!node.is_table()) mismatch("a table of rates or a file's name", node);
  for (const auto& [entry, rates] : *node.as_table()) {
    std::vector<double> numbers;
    if (rates.is_array())
      read(rates, numbers, {loru::range::finite});
    else
      read(rates, numbers.emplace_back(), loru::range::finite);
    loru::lowrank::set_rate(value, entry.str(), numbers);
  }
}

void read(const toml::node& node, loru::lowrank::Start& value, Anything) {
  const std::string given = node.is_string() ? node.as_string()->get() : "";
  if (given.starts_with(adapter_prefix) && given.size() > adapter_prefix.size()) {
    value = {loru::lowrank::Start::peft, string_of(node).substr(adapter_prefix.size())};
    return;
  }
  const Strings words{"zero", "svd", "peft:DIR"};
  value = find_word(node, words) == 0 ? loru::lowrank::Start::zero : loru::lowrank::Start::svd;
}

// ---- writing ----

std::string written(const loru::lowrank::Start& value, Anything) {
  if (value.kind == loru::lowrank::Start::peft) return adapter_prefix.data() + value.folder.string();
  return value.kind == loru::lowrank::Start::svd ? "svd" : "zero";
}

toml::table written(const loru::lowrank::Rates& value, Anything) {
  toml::table entries;
  for (const loru::lowrank::RateEntry& entry : loru::lowrank::rate_entries) {
    const std::span rates(value.of.data() + entry.first, entry.count);
    if (entry.count > 1)
      entries.insert_or_assign(entry.name, to_array(rates));
    else
      entries.insert_or_assign(entry.name, rates[0]);
  }
  return entries;
}

// ---- what may be given ----

namespace {

template <class V>
Values in_range(const char* type, const Range<V>& range) {
  Json schema{{"type", type}};
  if (range.least != Range<V>::lowest)
    schema[range.open_below ? "exclusiveMinimum" : "minimum"] = range.least;
  if (range.most != Range<V>::largest) schema[range.open_above ? "exclusiveMaximum" : "maximum"] = range.most;
  return {text(range), schema};
}

}  // namespace

Values values_of(const Index&, const Range<Index>& range) { return in_range("integer", range); }
Values values_of(const double&, const Range<double>& range) { return in_range("number", range); }
Values values_of(const bool&, Anything) { return {"true or false", {{"type", "boolean"}}}; }
Values values_of(const std::string&, Anything) { return {"a string", {{"type", "string"}}}; }
Values one_of(const Strings& words) { return {alternatives(words), {{"enum", words}}}; }

Values list_of(const Values& each, Index count) {
  Json schema{{"type", "array"}, {"items", each.schema}};
  if (count != 0) schema["minItems"] = schema["maxItems"] = count;
  return {concat("a list", count != 0 ? concat(" of ", count) : "", ", each ", each.text), schema};
}

Values values_of(const std::vector<Index>& list, Rounds rounds) {
  Values values = values_of(list, Each<Index>{loru::range::at_least(rounds.first)});
  values.text += ", increasing";
  values.schema["uniqueItems"] = true;
  return values;
}

Values values_of(const loru::lowrank::Start&, Anything) {
  return {"\"zero\", \"svd\" or \"peft:DIR\"", {{"type", "string"}, {"pattern", "^(zero|svd|peft:.+)$"}}};
}

Values values_of(const loru::lowrank::Rates&, Anything) {
  const Values rate = values_of(double{}, loru::range::positive);
  Json entries = Json::object();
  for (const loru::lowrank::RateEntry& entry : loru::lowrank::rate_entries)
    entries[entry.name] =
        entry.count == 1 ? rate.schema : list_of(rate, static_cast<Index>(entry.count)).schema;
  return {"a file's name or a table of rates",
          {{"type", {"string", "object"}}, {"properties", entries}, {"additionalProperties", false}}};
}

}  // namespace federate
