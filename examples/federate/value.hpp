#pragma once
// The values of configuration keys, by the variable's type and its domain (loru/core/fields.hpp): how they
// are read from TOML, written to TOML, and described. A new type or domain is added here.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/rates.hpp>

#include <nlohmann/json.hpp>
#include <toml++/toml.h>

namespace federate {

using loru::Index, loru::Anything, loru::Each, loru::Names, loru::Range, loru::Rounds, loru::Words;
using Json = nlohmann::ordered_json;
using Path = std::filesystem::path;
using Strings = std::vector<std::string>;

/// The values that a key takes, in words and as JSON Schema.
struct Values {
  std::string text;
  Json schema;
};

// ---- reading: throws ConfigError "expected ..., got ..." ----

void read(const toml::node& node, Index& value, const Range<Index>& range);
void read(const toml::node& node, std::uint64_t& value, const Range<Index>& range);
void read(const toml::node& node, double& value, const Range<double>& range);
void read(const toml::node& node, bool& value, Anything);
void read(const toml::node& node, std::string& value, Anything);
void read(const toml::node& node, std::string& value, Names names);
void read(const toml::node& node, Path& value, Anything);
void read(const toml::node& node, Strings& value, Anything);
void read(const toml::node& node, Strings& value, Names names);
void read(const toml::node& node, std::vector<Index>& value, const Each<Index>& each);
void read(const toml::node& node, std::vector<double>& value, const Each<double>& each);
void read(const toml::node& node, std::vector<Index>& value, Rounds);
void read(const toml::node& node, loru::Shape& value, const Each<Index>& each);
/// A table of rates, or the name of a file that `./dev calibrate` wrote. Entries that are not there stay as
/// they are: zero stands for those of the device (make_planner).
void read(const toml::node& node, loru::lowrank::Rates& value, Anything);
/// "zero", "svd" or "peft:DIR".
void read(const toml::node& node, loru::lowrank::Start& value, Anything);

/// The table {value = ...} of a TOML value, or of the text as a string where it is none.
toml::table parse_value(const std::string& text, const std::string& origin);

/// The place of a TOML string among words; names the nearest of them otherwise.
std::size_t find_word(const toml::node& node, std::span<const std::string> words);

template <class V, std::size_t N>
Strings spelling(const Words<V, N>& words) {
  Strings all;
  for (const auto& word : words.list) all.emplace_back(word.word);
  return all;
}

template <class V, std::size_t N>
void read(const toml::node& node, V& value, const Words<V, N>& words) {
  value = words.list[find_word(node, spelling(words))].value;
}

template <class V, class Domain>
void read(const toml::node& node, std::optional<V>& value, const Domain& domain) {
  V given{};
  read(node, given, domain);
  value = given;
}

// ---- writing: what toml::table::insert_or_assign takes ----

template <class V, class Domain>
const V& written(const V& value, const Domain&) {
  return value;
}

inline Index written(std::uint64_t value, const Range<Index>&) { return static_cast<Index>(value); }
inline std::string written(const Path& value, Anything) { return value.string(); }
toml::table written(const loru::lowrank::Rates& value, Anything);
std::string written(const loru::lowrank::Start& value, Anything);

template <class V, std::size_t N>
std::string written(const V& value, const Words<V, N>& words) {
  for (const auto& word : words.list)
    if (word.value == value) return word.word;
  return {};
}

template <class List>
toml::array to_array(const List& list) {
  toml::array array;
  for (const auto& element : list) array.push_back(element);
  return array;
}

template <class V, class Domain>
toml::array written(const std::vector<V>& list, const Domain&) {
  return to_array(list);
}
inline toml::array written(const loru::Shape& shape, const Each<Index>&) { return to_array(shape); }

// ---- what may be given ----

Values values_of(const Index&, const Range<Index>& range);
Values values_of(const double&, const Range<double>& range);
Values values_of(const bool&, Anything);
Values values_of(const std::string&, Anything);
Values values_of(const loru::lowrank::Rates&, Anything);
Values values_of(const loru::lowrank::Start&, Anything);
Values one_of(const Strings& words);
/// A list of `count` such values, or of any number of them for 0.
Values list_of(const Values& each, Index count = 0);

inline Values values_of(const std::uint64_t&, const Range<Index>& range) { return values_of(Index{}, range); }
inline Values values_of(const Path&, Anything) { return values_of(std::string{}, Anything{}); }
inline Values values_of(const std::string&, Names names) { return one_of(names.list()); }
inline Values values_of(const Strings&, Anything) { return list_of(values_of(std::string{}, Anything{})); }
inline Values values_of(const Strings&, Names names) { return list_of(one_of(names.list())); }
Values values_of(const std::vector<Index>&, Rounds);

template <class List, class V>
Values values_of(const List&, const Each<V>& each) {
  return list_of(values_of(V{}, each.range), each.count);
}

template <class V, std::size_t N>
Values values_of(const V&, const Words<V, N>& words) {
  return one_of(spelling(words));
}

template <class V, class Domain>
Values values_of(const std::optional<V>&, const Domain& domain) {
  return values_of(V{}, domain);
}

}  // namespace federate
