#pragma once
// Configuration keys, bound to the variables that they set. They are made from the fields of the option
// structs: a new key is a new field, and nothing here changes.

#include <functional>
#include <utility>

#include "configuration.hpp"
#include "value.hpp"

namespace federate {

struct Key {
  std::string name;  // with its table: "lowrank.rank"
  std::string text;  // a line of explanation
  Values values;
  /// Sets the variable. Throws ConfigError "expected ..., got ...", without the key's name.
  std::function<void(const toml::node&)> read;
  /// Puts the variable into a table; nothing if it is not set.
  std::function<void(toml::table&, const std::string& leaf)> write;
};

/// The keys of one algorithm.
struct AlgorithmKeys {
  std::string algorithm;
  std::vector<Key> keys;
};

struct Keys {
  std::vector<Key> common;  // to all algorithms
  std::vector<AlgorithmKeys> own;
};

/// All keys, bound to a configuration that must outlive them.
Keys keys_of(Configuration& configuration);

}  // namespace federate
