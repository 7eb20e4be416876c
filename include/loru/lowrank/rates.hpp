#pragma once
// How fast a machine is at the kinds of work in a low-rank step: the table that the planner divides by.

#include <array>
#include <charconv>
#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/cpu/simd.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// Thinnest extents of a product's result for which there is a rate; between them the time of a FLOP is interpolated
/// over log2 of the extent, beyond them it is that of the nearest.
inline constexpr std::array<Index, 5> thin_extents{8, 16, 32, 64, 128};

/// Places of the kinds of work in Work and Rates; products and filterings take one place per thin extent.
namespace kind {
inline constexpr std::size_t product = 0;                       // FLOPs of matrix products
inline constexpr std::size_t filtering = thin_extents.size();   // FLOPs between Winograd's transforms
inline constexpr std::size_t memory = 2 * thin_extents.size();  // bytes of operands and results of products
inline constexpr std::size_t windows = memory + 1;              // bytes of windows gathered or added back
inline constexpr std::size_t transforms = memory + 2;           // bytes of transformed tiles and kernels
inline constexpr std::size_t calls = memory + 3;                // products and convolutions
inline constexpr std::size_t count = memory + 4;
}  // namespace kind

/// An amount of every kind of work.
using Work = std::array<double, kind::count>;

/// Rates of every kind of work: 10⁹ FLOPs, 10⁹ bytes or 10⁶ calls a second.
struct Rates {
  std::array<double, kind::count> of;
  bool operator==(const Rates&) const = default;
};

/// A named part of the table.
struct RateEntry {
  const char* name;
  std::size_t first, count;
  const char* unit;
};

inline constexpr std::array rate_entries{
    RateEntry{"product", kind::product, thin_extents.size(), "GFLOP/s of products by thinnest extent"},
    RateEntry{"filtering", kind::filtering, thin_extents.size(),
              "GFLOP/s inside Winograd's filtering, likewise"},
    RateEntry{"memory", kind::memory, 1, "GB/s of the operands of products"},
    RateEntry{"windows", kind::windows, 1, "GB/s of gathered windows"},
    RateEntry{"transforms", kind::transforms, 1, "GB/s of transformed tiles"},
    RateEntry{"calls", kind::calls, 1, "millions of products a second"}};

/// What one unit of a rate stands for.
inline constexpr double rate_unit(std::size_t place) { return place == kind::calls ? 1e6 : 1e9; }

/// Seconds that the work takes at these rates.
inline double seconds(const Work& work, const Rates& rates) {
  double sum = 0.0;
  for (std::size_t i = 0; i < work.size(); ++i) sum += work[i] / (rates.of[i] * rate_unit(i));
  return sum;
}

/// Sets a part of the table by name. Throws ConfigError for an unknown name (naming the nearest), a wrong number of
/// values and a value that is not positive and finite.
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
    for (std::size_t i = 0; i < entry.count; ++i) {
      std::array<char, 32> digits{};
      const auto end =
          std::to_chars(digits.data(), digits.data() + digits.size(), rates.of[entry.first + i]).ptr;
      text += concat(i == 0 ? "" : ", ", std::string(digits.data(), end));
    }
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
    double value = 0.0;
    const auto [rest, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    require<ConfigError>(error == std::errc{} && rest == part.data() + part.size(),
                         "expected a number, got '", part, "'");
    values.push_back(value);
    begin = end + 1;
  }
  return values;
}

}  // namespace detail

/// Reads what to_toml() writes: lines `name = number` or `name = [number, ...]`, comments after #. Entries that are not
/// there are those of `rates`. Throws ConfigError with origin and line.
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

/// Measured by bench/calibrate on one core of an AMD EPYC with AVX-512 (g++ 12.2).
inline constexpr Rates avx512_rates{
    {48.3, 84.3, 72.8, 95.2, 99.4, 21.5, 49.6, 98.5, 86.8, 84.3, 215, 8.6, 15.9, 62.5}};

namespace detail {

/// The AVX-512 table with every FLOP and transform slower by a factor: a guess, not a measurement.
constexpr Rates scaled_rates(double factor) {
  Rates rates = avx512_rates;
  for (std::size_t i = 0; i < kind::count; ++i)
    if (i < kind::memory || i == kind::transforms) rates.of[i] *= factor;
  return rates;
}

}  // namespace detail

/// Not measured: scaled by the width of the registers and the number of multipliers.
inline constexpr Rates avx2_rates = detail::scaled_rates(0.5);
inline constexpr Rates neon_rates = detail::scaled_rates(0.25);
inline constexpr Rates generic_rates = detail::scaled_rates(0.125);

/// The table for the instruction set that this program is compiled for.
inline constexpr Rates shipped_rates() {
#if defined(EIGEN_VECTORIZE_AVX512)
  return avx512_rates;
#elif defined(EIGEN_VECTORIZE_AVX2)
  return avx2_rates;
#elif defined(EIGEN_VECTORIZE_NEON)
  return neon_rates;
#else
  return generic_rates;
#endif
}

}  // namespace loru::lowrank
