#pragma once
// Numbers as text, and small text helpers of messages.

#include <locale.h>
#include <stdlib.h>
#if __has_include(<xlocale.h>)
#include <xlocale.h>  // strtod_l of macOS
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA {

/// The shortest text that parse_number reads back as the same number: 0.1, 1e+30, -3, inf.
template <class Number>
  requires std::integral<Number> || std::floating_point<Number>
std::string to_text(Number x) {
  std::array<char, 64> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), x).ptr};
}

/// The number that the whole text spells in decimal, in any locale; inf and nan are numbers too. Empty if the
/// text is not a number (it has a space, a + or another character too many) or if the type cannot hold the
/// number.
template <std::integral Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Through strtod, since libc++ 19 has no from_chars for doubles.
template <std::same_as<double> Number>
std::optional<Number> parse_number(std::string_view text) {
  static const ::locale_t plain = ::newlocale(LC_ALL_MASK, "C", nullptr);
  constexpr std::string_view first = "-.0123456789inIN";
  if (text.empty() || first.find(text[0]) == text.npos || text.find_first_of("xX") != text.npos)
    return std::nullopt;  // strtod takes spaces, a + and hexadecimal digits too
  const std::string terminated(text);
  char* end = nullptr;
  errno = 0;
  const double value = ::strtod_l(terminated.c_str(), &end, plain);
  if (end != terminated.c_str() + terminated.size()) return std::nullopt;
  if (errno == ERANGE && (value == 0.0 || std::isinf(value))) return std::nullopt;
  return value;
}

/// Number of insertions, deletions and replacements of a character and exchanges of two neighbours that turn
/// one word into the other. No place is changed twice (Damerau 1964).
inline std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1),
      row(b.size() + 1);  // rows i - 2, i - 1, i
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    before.swap(last);
    last.swap(row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

/// The known word nearest to `word`, the first of equals; empty if nothing is known.
inline std::string nearest(std::string_view word, std::span<const std::string> known) {
  const auto best = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  return best == known.end() ? std::string{} : *best;
}

}  // namespace loru::inline LORU_ISA
