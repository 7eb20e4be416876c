#pragma once
// One configuration key, bound to the variable it sets: how it is read from TOML, checked and written back.

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>
#include <loru/lowrank/rates.hpp>

#include <toml++/toml.h>

namespace federate {

using loru::Index;

/// The values that a key takes, in words and as a test.
template <class T>
struct Domain {
  std::string text;
  std::function<bool(T)> holds;
};

inline Domain<Index> at_least(Index least) {
  return {loru::concat("a whole number >= ", least), [least](Index x) { return x >= least; }};
}

extern const Domain<double> positive, not_negative, below_one, up_to_one, any_number;

struct Key {
  std::string name;  // with its table: "lowrank.rank"
  /// Sets the variable. Throws ConfigError "expected ..., got ...", without the key's name.
  std::function<void(const toml::node&)> read;
  /// The variable as a TOML value; nothing if it is not set.
  std::function<void(toml::table&, const std::string& leaf)> write;
};

Key integer(std::string name, Index& variable, Domain<Index> domain);
Key integer(std::string name, std::optional<Index>& variable, Domain<Index> domain);
Key integers(std::string name, std::vector<Index>& variable, std::size_t count, Domain<Index> domain);
/// A list of any length.
Key integers(std::string name, std::vector<Index>& variable, Domain<Index> domain);
Key numbers(std::string name, std::vector<double>& variable, Domain<double> domain);
Key number(std::string name, double& variable, Domain<double> domain);
Key number(std::string name, std::optional<double>& variable, Domain<double> domain);
Key flag(std::string name, bool& variable);
Key path(std::string name, std::filesystem::path& variable);
Key strings(std::string name, std::vector<std::string>& variable);
/// A list of which each element is one of the words.
Key strings(std::string name, std::vector<std::string>& variable, std::vector<std::string> words);
/// One of the words.
Key word(std::string name, std::string& variable, std::vector<std::string> words);

/// A table of rates, or the name of a file that `./dev calibrate` wrote; it is written back as a table.
Key rates(std::string name, loru::lowrank::Rates& variable);

/// The place of one of the words in a TOML string. Throws ConfigError naming the nearest.
std::size_t find_word(const toml::node& node, std::span<const std::string> words);

/// One of a few words, each standing for a value.
template <class V>
Key choice(std::string name, V& variable, std::vector<std::pair<std::string, V>> choices) {
  std::vector<std::string> words;
  for (const auto& [word, value] : choices) words.push_back(word);
  const auto read = [&variable, choices, words](const toml::node& node) {
    variable = choices[find_word(node, words)].second;
  };
  const auto write = [&variable, choices](toml::table& table, const std::string& leaf) {
    for (const auto& [word, value] : choices)
      if (value == variable) table.insert_or_assign(leaf, word);
  };
  return {std::move(name), read, write};
}

}  // namespace federate
