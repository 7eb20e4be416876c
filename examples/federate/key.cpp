#include "key.hpp"

namespace federate {

namespace {

template <class V, class Domain>
void put(toml::table& table, const std::string& leaf, const V& value, const Domain& domain) {
  table.insert_or_assign(leaf, written(value, domain));
}

template <class V, class Domain>
void put(toml::table& table, const std::string& leaf, const std::optional<V>& value, const Domain& domain) {
  if (value) put(table, leaf, *value, domain);
}

template <class Options>
std::vector<Key> bound(Options& options, const std::string& table = "") {
  std::vector<Key> keys;
  const auto add = [&]<class Field, class V>(const std::string& in, const Field& field, V& value) {
    const auto domain = field.domain;
    keys.push_back(
        {in + field.name, field.text, values_of(value, domain),
         [&value, domain](const toml::node& node) { read(node, value, domain); },
         [&value, domain](toml::table& to, const std::string& leaf) { put(to, leaf, value, domain); }});
  };
  loru::for_each_field(options, add, table);
  return keys;
}

}  // namespace

Keys keys_of(Configuration& c) {
  Keys keys{bound(c), {}};
  std::apply(
      [&](auto&... algorithm) {
        (keys.own.push_back({std::string(algorithm.name), bound(algorithm, "algorithm.")}), ...);
      },
      c.algorithms);
  return keys;
}

}  // namespace federate
