#include "grid.hpp"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <sstream>

#include "value.hpp"

namespace federate {

using loru::concat, loru::ConfigError, loru::require;

namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t"), end = text.find_last_not_of(" \t");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

/// Bytes that may not be in a file's name, or that separate keys and values there, as %XX.
std::string safe(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 128 && std::isalnum(byte)) || c == '.' || c == '_' || c == '-')
      out += c;
    else
      out += concat('%', "0123456789ABCDEF"[byte / 16], "0123456789ABCDEF"[byte % 16]);
  }
  return out;
}

/// A value as people read it: strings without quotes, 0.0001 for 1e-04.
std::string readable(const toml::node& node, const std::string& toml) {
  if (const auto* string = node.as_string()) return string->get();
  const auto* number = node.as_floating_point();
  const double size = number ? std::abs(number->get()) : 0.0;
  if (size < 1e-6 || size > 1e6 || toml.find('e') == std::string::npos) return toml;
  std::array<char, 64> text;
  return {text.data(),
          std::to_chars(text.data(), text.data() + text.size(), number->get(), std::chars_format::fixed).ptr};
}

GridValue grid_value(const toml::node& node) {
  std::ostringstream toml;
  toml << toml::node_view<const toml::node>{node};
  GridValue value{toml.str(), readable(node, toml.str()), ""};
  if (const toml::array* array = node.as_array()) {  // [2, 4] is named 2+4
    for (const toml::node& element : *array) {
      if (!value.name.empty()) value.name += '+';
      value.name += grid_value(element).name;
    }
  } else {
    value.name = node.is_number() ? value.text : safe(value.text);
  }
  return value;
}

/// The elements of a TOML array, or words between commas.
std::vector<GridValue> grid_values(const std::string& key, const std::string& text) {
  std::vector<GridValue> values;
  const toml::table whole = parse_value(concat('[', text, ']'), "--sweep");
  if (const toml::array* array = whole.at("value").as_array()) {
    for (const toml::node& node : *array) values.push_back(grid_value(node));
    return values;
  }
  std::istringstream words(text + ',');
  for (std::string word; std::getline(words, word, ',');) {
    word = trimmed(word);
    require<ConfigError>(!word.empty(), "--sweep: ", key, ": expected a value between commas, got '", text,
                         "'");
    values.push_back(grid_value(parse_value(word, "--sweep").at("value")));
  }
  return values;
}

}  // namespace

Grid::Grid(const std::vector<std::string>& sweeps) {
  for (const std::string& sweep : sweeps) {
    const std::size_t equals = sweep.find('=');
    require<ConfigError>(equals != std::string::npos && equals > 0, "--sweep: expected KEY=V1,V2,..., got '",
                         sweep, "'");
    const std::string key = trimmed(sweep.substr(0, equals));
    for (const Axis& other : axes_)
      require<ConfigError>(other.key != key, "--sweep: expected different keys, got ", key, " twice");
    axes_.push_back({key, grid_values(key, sweep.substr(equals + 1))});
    const std::vector<GridValue>& values = axes_.back().values;
    require<ConfigError>(values.size() >= 2, "--sweep: ", key, ": expected at least two values, got ",
                         values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      for (std::size_t j = 0; j < i; ++j)
        require<ConfigError>(values[i].toml != values[j].toml, "--sweep: ", key,
                             ": expected different values, got ", values[i].text, " twice");
  }
  for (std::size_t point = 0; point < size(); ++point)
    require<ConfigError>(name(point).size() <= 255,
                         "--sweep: expected values of which a file's name can be made, got ", name(point));
}

std::vector<std::string> Grid::keys() const {
  std::vector<std::string> all;
  for (const Axis& axis : axes_) all.push_back(axis.key);
  return all;
}

std::size_t Grid::size() const {
  std::size_t points = 1;
  for (const Axis& axis : axes_) points *= axis.values.size();
  return points;
}

std::size_t Grid::stride(std::size_t axis) const {
  std::size_t points = 1;
  for (std::size_t a = axis + 1; a < axes_.size(); ++a) points *= axes_[a].values.size();
  return points;
}

std::string Grid::name(std::size_t point) const {
  std::string text;
  for (std::size_t a = 0; a < axes_.size(); ++a)
    text += concat(a == 0 ? "" : ",", axes_[a].key, '=', value(point, a).name);
  return text;
}

std::vector<std::string> Grid::assignments(std::size_t point) const {
  std::vector<std::string> all;
  for (std::size_t a = 0; a < axes_.size(); ++a) all.push_back(axes_[a].key + '=' + value(point, a).toml);
  return all;
}

}  // namespace federate
