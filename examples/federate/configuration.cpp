#include "configuration.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include <loru/core/text.hpp>
#include <loru/io/file.hpp>

#include "key.hpp"

namespace federate {

using loru::concat, loru::ConfigError, loru::fail, loru::require;

namespace {

// ---- reading ----

const Key* find(const std::vector<Key>& keys, const std::string& name) {
  const auto found = std::find_if(keys.begin(), keys.end(), [&](const Key& key) { return key.name == name; });
  return found == keys.end() ? nullptr : &*found;
}

constexpr const char* set_option = "--set";
constexpr const char* sweep_option = "--sweep";

/// Where a value stands: "file.toml:3: ", "--set: " or "--sweep: ". Strings of --set may have no place.
std::string where(const toml::node& node) {
  const toml::source_region& source = node.source();
  if (!source.path) return concat(set_option, ": ");
  for (const char* without_lines : {set_option, sweep_option, config_text_origin})
    if (*source.path == without_lines) return *source.path + ": ";
  return concat(*source.path, ':', source.begin.line, ": ");
}

/// Reads a table key by key. Keys of an algorithm wait until it is known which one is used.
class Reader {
 public:
  explicit Reader(Configuration& c) : c_{c}, keys_{keys_of(c)} {
    for (const Key& key : keys_.common) names_.push_back(key.name);
    for (const auto& [algorithm, own] : keys_.own)
      for (const Key& key : own) names_.push_back(key.name);
  }

  void read(const toml::table& table) {
    read_table(table, "");
    for (const auto& [algorithm, own] : keys_.own)
      if (algorithm == c_.algorithm)
        for (const auto& [name, node] : waiting_)
          if (const Key* key = find(own, name)) assign(*key, *node);
  }

 private:
  void read_table(const toml::table& table, const std::string& prefix) {
    for (const auto& [leaf, node] : table) {
      const std::string name = prefix + std::string(leaf.str());
      if (const Key* key = find(keys_.common, name))
        assign(*key, node);
      else if (std::find(names_.begin(), names_.end(), name) != names_.end())
        waiting_.emplace_back(name, &node);
      else if (node.is_table() && (is_section(name) || !node.as_table()->empty()))
        read_table(*node.as_table(), name + '.');
      else
        refuse(name, node);
    }
  }

  [[noreturn]] void refuse(const std::string& name, const toml::node& node) const {
    require<ConfigError>(!is_section(name), where(node), name, ": expected a table, got ", node.type());
    fail<ConfigError>(where(node), "unknown key '", name, "', nearest is '", loru::nearest(name, names_),
                      "'");
  }

  bool is_section(const std::string& name) const {
    return std::any_of(names_.begin(), names_.end(), [&](auto& key) { return key.starts_with(name + '.'); });
  }

  static void assign(const Key& key, const toml::node& node) {
    try {
      key.read(node);
    } catch (const ConfigError& error) {
      fail<ConfigError>(where(node), key.name, ": ", error.what());
    }
  }

  Configuration& c_;
  Keys keys_;
  std::vector<std::string> names_;
  std::vector<std::pair<std::string, const toml::node*>> waiting_;
};

toml::table parse(const std::string& text, const std::string& origin) {
  try {
    return toml::parse(text, origin);
  } catch (const toml::parse_error& error) {
    const auto& at = error.source().begin;
    fail<ConfigError>(origin, ':', at.line, ':', at.column, ": broken TOML: ", error.description());
  }
}

/// Moves every value of `over` into `under`, table by table; copies would forget where they stand.
void overlay(toml::table& under, toml::table& over) {
  for (auto&& [key, node] : over) {
    toml::table* below = under[key].as_table();
    if (below && node.is_table())
      overlay(*below, *node.as_table());
    else
      node.visit([&](auto& value) { under.insert_or_assign(key, std::move(value)); });
  }
}

/// A table that is given by its name becomes a table.
void spell_out(toml::table& document) {
  toml::node* given = document.get(table_by_name);
  if (!given || given->is_table()) return;
  toml::table table;
  given->visit([&](auto& name) { table.insert_or_assign("name", std::move(name)); });
  document.insert_or_assign(table_by_name, std::move(table));
}

toml::table read_document(const std::filesystem::path& file, Index depth = 0);

/// The document over the file that its `base` names, relative to `folder`, if it names one.
toml::table over_base(toml::table document, const std::filesystem::path& folder, Index depth) {
  spell_out(document);
  const toml::node* base = document.get("base");
  if (!base) return document;
  require<ConfigError>(base->is_string(), where(*base), "base: expected the name of a file, got ",
                       base->type());
  const std::string& name = base->as_string()->get();
  require<ConfigError>(!name.empty() && name.find('\0') == std::string::npos, where(*base),
                       "base: expected the name of a file, got ", name.empty() ? "no name" : "one with NUL");
  require<ConfigError>(depth < 8, where(*base), "base: expected at most 8 files over each other");
  toml::table under = read_document(folder / name, depth + 1);
  document.erase("base");
  overlay(under, document);
  return under;
}

toml::table read_document(const std::filesystem::path& file, Index depth) {
  return over_base(parse(loru::io::read_text(file), file.string()), file.parent_path(), depth);
}

/// Puts the TOML value, or the string where it is none, under a key of the document.
void set(toml::table& document, const std::string& assignment, const char* option) {
  const std::size_t equals = assignment.find('=');
  require<ConfigError>(equals != std::string::npos && equals > 0, option, ": expected key.path=value, got '",
                       assignment, "'");
  std::string key = assignment.substr(0, equals);
  if (key == table_by_name) key += ".name";
  toml::table parsed = parse_value(assignment.substr(equals + 1), option);

  toml::table* table = &document;
  std::size_t begin = 0;
  for (std::size_t dot = key.find('.'); dot != std::string::npos;
       begin = dot + 1, dot = key.find('.', begin)) {
    const std::string part = key.substr(begin, dot - begin);
    toml::node& child = table->insert(part, toml::table{}).first->second;
    require<ConfigError>(child.is_table(), option, ": ", key, ": ", part, " is a value, not a table");
    table = child.as_table();
  }
  parsed.at("value").visit(
      [&](auto& value) { table->insert_or_assign(key.substr(begin), std::move(value)); });
}

/// The configuration that the document describes, with the overrides.
Configuration configured(toml::table document, const std::string& file, const Overrides& overrides) {
  for (const std::string& assignment : overrides.set) set(document, assignment, set_option);
  for (const std::string& assignment : overrides.sweep) set(document, assignment, sweep_option);
  Configuration c;
  Reader(c).read(document);
  if (overrides.device) c.device = *overrides.device;
  if (overrides.seed) c.seed = *overrides.seed;
  if (overrides.data_dir) c.data.dir = *overrides.data_dir;
  require<ConfigError>(!(c.cohort && c.fraction), file,
                       ": federation: expected cohort or fraction, got both");
  require<ConfigError>(c.simulation.eval_every > 0 || !(c.keep_best || c.stop_at), file,
                       ": federation.eval_every: expected at least 1 for keep_best and stop_at, got 0");
  require<ConfigError>(c.device == "cpu" || !c.transformer.keep_quantised, file,
                       ": model.keep_quantised: expected false on the device ", c.device, ", got true");
  require<ConfigError>(c.device != "cpu" || c.precision == Precision::full, file,
                       ": device.precision: expected \"float\" on the device cpu, got \"",
                       c.precision == Precision::tf32 ? "tf32" : "bf16", '"');
  require<ConfigError>(
      c.precision != Precision::bf16, file,
      ": device.precision: expected \"float\" or \"tf32\", got \"bf16\": there are no activations in "
      "bf16 yet");
  require<ConfigError>(c.keep_rounds.empty() || c.keep_rounds.back() <= c.rounds, file,
                       ": federation.keep_rounds: expected at most ", c.rounds, ", the rounds, got ",
                       c.keep_rounds.empty() ? 0 : c.keep_rounds.back());
  return c;
}

}  // namespace

void require_data(const Configuration& c, const std::string& origin) {
  std::string names;
  for (const std::string& name : loru::data::dataset_names()) names += (names.empty() ? "" : ", ") + name;
  require<ConfigError>(!c.data.name.empty(), origin, ": data.name: expected one of ", names, "; got nothing");
}

Configuration read_configuration(const std::string& file, const Overrides& overrides) {
  Configuration c = configured(read_document(file), file, overrides);
  require_data(c, file);
  return c;
}

Configuration read_configuration_text(const std::string& text, const Overrides& overrides) {
  return configured(over_base(parse(text, config_text_origin), {}, 0), config_text_origin, overrides);
}

std::string to_toml(Configuration c) {
  toml::table document;
  const auto write = [&](const Key& key) {
    const std::size_t dot = key.name.find('.');
    toml::table* table = &document;
    if (dot != std::string::npos)
      table = document.insert(key.name.substr(0, dot), toml::table{}).first->second.as_table();
    key.write(*table, key.name.substr(dot + 1));
  };
  const Keys keys = keys_of(c);
  for (const Key& key : keys.common) write(key);
  for (const auto& [algorithm, own] : keys.own)
    if (algorithm == c.algorithm)
      for (const Key& key : own) write(key);
  std::ostringstream text;
  text << document << '\n';
  return text.str();
}

namespace {

constexpr std::array transformer_names{"bert", "llama", "char_transformer"};

}  // namespace

std::vector<std::string> model_names() {
  std::vector<std::string> names = loru::nn::model_names();
  names.insert(names.end(), transformer_names.begin(), transformer_names.end());
  return names;
}

bool is_transformer(const std::string& model) {
  return std::find(transformer_names.begin(), transformer_names.end(), model) != transformer_names.end();
}

bool low_rank(const Configuration& c) {
  bool result = false;
  with_algorithm(c, [&](const auto& algorithm) { result = algorithm.low_rank; });
  return result;
}

bool keeps_merges(const Configuration& c) { return c.keep_merges.value_or(!c.transformer.weights.empty()); }

}  // namespace federate
