#pragma once
// A device's table of rates as text.

#include <algorithm>
#include <cmath>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/text.hpp>
#include <loru/ops/rates.hpp>

namespace loru::inline LORU_ISA::lowrank {

using cost::Rates;

/// A named part of the table.
struct RateEntry {
  const char* name;
  std::size_t first, count;
  const char* unit;
};

inline constexpr std::array rate_entries{
    RateEntry{"product", cost::kind::product, cost::thin_extents.size(),
              "GFLOP/s of products by thinnest extent"},
    RateEntry{"filtering", cost::kind::filtering, cost::thin_extents.size(),
              "GFLOP/s inside Winograd's filtering, likewise"},
    RateEntry{"memory", cost::kind::memory, 1, "GB/s of the operands of products"},
    RateEntry{"windows", cost::kind::windows, 1, "GB/s of gathered windows"},
    RateEntry{"transforms", cost::kind::transforms, 1, "GB/s of transformed tiles"},
    RateEntry{"calls", cost::kind::calls, 1, "millions of products a second"}};

/// Sets a part of the table by name. Throws ConfigError for an unknown name (naming the nearest), a wrong
/// number of values and a value that is not positive and finite.
inline void set_rate(Rates& rates, std::string_view name, std::span<const double> values) {
  std::vector<std::string> names;
  for (const RateEntry& entry : rate_entries) {
    names.emplace_back(entry.name);
    if (name != entry.name) continue;
    require<ConfigError>(values.size() == entry.count, name, ": expected ", entry.count,
                         entry.count == 1 ? " number" : " numbers", ", got ", values.size());
    for (double value : values)
      require<ConfigError>(value > 0.0 && std::isfinite(value), name, ": expected rates > 0, got ", value);
    std::copy(values.begin(), values.end(), rates.of.begin() + static_cast<std::ptrdiff_t>(entry.first));
    return;
  }
  fail<ConfigError>("unknown rate '", name, "', nearest is '", nearest(name, names), "'");
}

/// The table as TOML, a line an entry.
inline std::string to_toml(const Rates& rates) {
  std::string text;
  for (const RateEntry& entry : rate_entries) {
    text += concat(entry.name, " = ", entry.count > 1 ? "[" : "");
    for (std::size_t i = 0; i < entry.count; ++i)
      text += concat(i == 0 ? "" : ", ", to_text(rates.of[entry.first + i]));
    text += concat(entry.count > 1 ? "]" : "", "  # ", entry.unit, '\n');
  }
  return text;
}

namespace detail {

inline std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r"), last = text.find_last_not_of(" \t\r");
  return first == std::string_view::npos ? std::string_view{} : text.substr(first, last - first + 1);
}

/// The numbers of `1.5` or `[1, 2.5]`. Throws ConfigError.
inline std::vector<double> parse_numbers(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::vector<double> values;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = trimmed(text.substr(begin, end - begin));
    const std::optional<double> value = parse_number<double>(part);
    require<ConfigError>(value.has_value(), "expected a number, got '", part, "'");
    values.push_back(*value);
    begin = end + 1;
  }
  return values;
}

}  // namespace detail

/// Reads what to_toml() writes: lines `name = number` or `name = [number, ...]`, comments after #. Entries
/// that are not there are those of `rates`. Throws ConfigError with origin and line.
inline Rates parse_rates(std::string_view text, const std::string& origin, Rates rates) {
  for (Index number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = detail::trimmed(text.substr(0, std::min(text.find('#'), end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::size_t equals = line.find('=');
    try {
      require<ConfigError>(equals != std::string_view::npos, "expected name = rates, got '", line, "'");
      set_rate(rates, detail::trimmed(line.substr(0, equals)),
               detail::parse_numbers(detail::trimmed(line.substr(equals + 1))));
    } catch (const ConfigError& error) {
      fail<ConfigError>(origin, ':', number, ": ", error.what());
    }
  }
  return rates;
}

}  // namespace loru::inline LORU_ISA::lowrank
