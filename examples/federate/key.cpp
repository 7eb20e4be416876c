#include "key.hpp"

#include <cmath>
#include <limits>

#include <loru/core/text.hpp>
#include <loru/io/file.hpp>

namespace federate {

using loru::concat, loru::ConfigError, loru::fail, loru::require;

const Domain<double> positive{"a number > 0", [](double x) { return x > 0.0 && std::isfinite(x); }};
const Domain<double> not_negative{"a number >= 0", [](double x) { return x >= 0.0 && std::isfinite(x); }};
const Domain<double> below_one{"a number in [0, 1)", [](double x) { return x >= 0.0 && x < 1.0; }};
const Domain<double> up_to_one{"a number in (0, 1]", [](double x) { return x > 0.0 && x <= 1.0; }};
const Domain<double> any_number{"a number", [](double x) { return std::isfinite(x); }};

namespace {

/// A value as errors show it: `string "cnn"`, `integer 3`, `table`.
std::string shown(const toml::node& node) {
  std::string text = concat(node.type());
  if (!node.is_table()) text += concat(' ', toml::node_view<const toml::node>{node});
  return text;
}

[[noreturn]] void mismatch(const std::string& expected, const toml::node& node,
                           const std::string& hint = "") {
  fail<ConfigError>("expected ", expected, ", got ", shown(node), hint);
}

Index to_integer(const toml::node& node, const Domain<Index>& domain) {
  const auto* value = node.as_integer();
  if (!value || !domain.holds(value->get())) mismatch(domain.text, node);
  return value->get();
}

double to_number(const toml::node& node, const Domain<double>& domain) {
  const double value = node.is_number() ? *node.value<double>() : std::numeric_limits<double>::quiet_NaN();
  if (!domain.holds(value)) mismatch(domain.text, node);
  return value;
}

std::string to_string(const toml::node& node) {
  if (!node.is_string()) mismatch("a string", node);
  return node.as_string()->get();
}

std::vector<std::string> to_strings(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (!array) mismatch("a list of strings", node);
  std::vector<std::string> values;
  for (const toml::node& element : *array) {
    if (!element.is_string()) mismatch("a list of strings", node);
    values.push_back(element.as_string()->get());
  }
  return values;
}

/// `"a", "b" or "c"`.
std::string alternatives(std::span<const std::string> words) {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i)
    text += concat(i == 0 ? "" : i + 1 < words.size() ? ", " : " or ", '"', words[i], '"');
  return text;
}

template <class T>
void write_list(toml::table& table, const std::string& leaf, const std::vector<T>& values) {
  toml::array array;
  for (const T& value : values) array.push_back(value);
  table.insert_or_assign(leaf, std::move(array));
}

/// A key whose value is written as it is stored.
template <class V, class Read>
Key plain(std::string name, V& variable, Read read) {
  return {
      std::move(name), [&variable, read](const toml::node& node) { variable = read(node); },
      [&variable](toml::table& table, const std::string& leaf) { table.insert_or_assign(leaf, variable); }};
}

template <class V, class Read>
Key optional(std::string name, std::optional<V>& variable, Read read) {
  return {std::move(name), [&variable, read](const toml::node& node) { variable = read(node); },
          [&variable](toml::table& table, const std::string& leaf) {
            if (variable) table.insert_or_assign(leaf, *variable);
          }};
}

/// A list of any length.
template <class T, class Read>
Key list(std::string name, std::vector<T>& variable, const char* expected, Read read) {
  return {std::move(name),
          [&variable, expected, read](const toml::node& node) {
            const toml::array* array = node.as_array();
            if (!array) mismatch(expected, node);
            variable.clear();
            for (const toml::node& element : *array) variable.push_back(read(element));
          },
          [&variable](toml::table& table, const std::string& leaf) { write_list(table, leaf, variable); }};
}

}  // namespace

std::size_t find_word(const toml::node& node, std::span<const std::string> words) {
  const std::string given = node.is_string() ? node.as_string()->get() : "";
  for (std::size_t i = 0; i < words.size(); ++i)
    if (node.is_string() && words[i] == given) return i;
  mismatch(alternatives(words), node,
           node.is_string() ? concat(", nearest is \"", loru::nearest(given, words), '"') : "");
}

Key integer(std::string name, Index& variable, Domain<Index> domain) {
  return plain(std::move(name), variable, [domain](const toml::node& n) { return to_integer(n, domain); });
}

Key integer(std::string name, std::optional<Index>& variable, Domain<Index> domain) {
  return optional(std::move(name), variable, [domain](const toml::node& n) { return to_integer(n, domain); });
}

Key integers(std::string name, std::vector<Index>& variable, std::size_t count, Domain<Index> domain) {
  const auto read = [&variable, count, domain](const toml::node& node) {
    const toml::array* array = node.as_array();
    if (!array || array->size() != count) mismatch(concat("a list of ", count, " whole numbers"), node);
    variable.clear();
    for (const toml::node& element : *array) variable.push_back(to_integer(element, domain));
  };
  return {std::move(name), read,
          [&variable](toml::table& table, const std::string& leaf) { write_list(table, leaf, variable); }};
}

Key integers(std::string name, std::vector<Index>& variable, Domain<Index> domain) {
  return list(std::move(name), variable, "a list of whole numbers",
              [domain](const toml::node& node) { return to_integer(node, domain); });
}

Key numbers(std::string name, std::vector<double>& variable, Domain<double> domain) {
  return list(std::move(name), variable, "a list of numbers",
              [domain](const toml::node& node) { return to_number(node, domain); });
}

Key number(std::string name, double& variable, Domain<double> domain) {
  return plain(std::move(name), variable, [domain](const toml::node& n) { return to_number(n, domain); });
}

Key number(std::string name, std::optional<double>& variable, Domain<double> domain) {
  return optional(std::move(name), variable, [domain](const toml::node& n) { return to_number(n, domain); });
}

Key flag(std::string name, bool& variable) {
  return plain(std::move(name), variable, [](const toml::node& node) {
    if (!node.is_boolean()) mismatch("true or false", node);
    return node.as_boolean()->get();
  });
}

Key path(std::string name, std::filesystem::path& variable) {
  return {std::move(name), [&variable](const toml::node& node) { variable = to_string(node); },
          [&variable](toml::table& table, const std::string& leaf) {
            table.insert_or_assign(leaf, variable.string());
          }};
}

Key strings(std::string name, std::vector<std::string>& variable) {
  return {std::move(name), [&variable](const toml::node& node) { variable = to_strings(node); },
          [&variable](toml::table& table, const std::string& leaf) { write_list(table, leaf, variable); }};
}

Key strings(std::string name, std::vector<std::string>& variable, std::vector<std::string> words) {
  Key key = strings(std::move(name), variable);
  key.read = [words, plain = key.read](const toml::node& node) {
    plain(node);
    for (const toml::node& element : *node.as_array()) find_word(element, words);
  };
  return key;
}

Key rates(std::string name, loru::lowrank::Rates& variable) {
  const auto read = [&variable](const toml::node& node) {
    if (node.is_string()) {
      const std::string file = to_string(node);
      variable = loru::lowrank::parse_rates(loru::io::read_text(file), file, variable);
      return;
    }
    if (!node.is_table()) mismatch("a table of rates or a file's name", node);
    for (const auto& [entry, value] : *node.as_table()) {
      std::vector<double> numbers;
      if (const toml::array* array = value.as_array())
        for (const toml::node& element : *array) numbers.push_back(to_number(element, any_number));
      else
        numbers.push_back(to_number(value, any_number));
      loru::lowrank::set_rate(variable, entry.str(), numbers);
    }
  };
  const auto write = [&variable](toml::table& table, const std::string& leaf) {
    toml::table entries;
    for (const loru::lowrank::RateEntry& entry : loru::lowrank::rate_entries) {
      const double* first = variable.of.data() + entry.first;
      if (entry.count > 1)
        write_list(entries, entry.name, std::vector<double>(first, first + entry.count));
      else
        entries.insert_or_assign(entry.name, *first);
    }
    table.insert_or_assign(leaf, std::move(entries));
  };
  return {std::move(name), read, write};
}

Key word(std::string name, std::string& variable, std::vector<std::string> words) {
  return plain(std::move(name), variable,
               [words](const toml::node& node) { return words[find_word(node, words)]; });
}

}  // namespace federate
