#pragma once
// Strings as JSON.

#include <cstddef>
#include <string>
#include <string_view>

#include <loru/core/error.hpp>

namespace loru::inline LORU_ISA::io::detail {

/// Throws DataError naming `where` unless the text is UTF-8 as in table 3-7 of the Unicode Standard 15.
inline void require_utf8(std::string_view text, std::string_view where) {
  constexpr std::string_view expected = ": expected UTF-8 text, got ";
  const auto hex = [](unsigned byte) {
    return std::string{"0123456789ABCDEF"[byte / 16], "0123456789ABCDEF"[byte % 16]};
  };
  int missing = 0;                         // bytes that follow in the sequence at hand
  unsigned lowest = 0x80, highest = 0xBF;  // what the next of them may be
  for (std::size_t i = 0; i < text.size(); ++i) {
    const unsigned byte = static_cast<unsigned char>(text[i]);
    const bool fits =
        missing > 0 ? byte >= lowest && byte <= highest : byte < 0x80 || (byte >= 0xC2 && byte <= 0xF4);
    require<DataError>(fits, where, expected, "invalid UTF-8 byte at index ", i, ": 0x", hex(byte));
    lowest = 0x80, highest = 0xBF;
    if (missing > 0) {
      --missing;
    } else if (byte >= 0xC2) {
      missing = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
      if (byte == 0xE0) lowest = 0xA0;   // shorter forms exist below
      if (byte == 0xED) highest = 0x9F;  // surrogates
      if (byte == 0xF0) lowest = 0x90;
      if (byte == 0xF4) highest = 0x8F;  // above U+10FFFF
    }
  }
  require<DataError>(missing == 0, where, expected, "incomplete UTF-8 string; last byte: 0x",
                     hex(text.empty() ? 0U : static_cast<unsigned char>(text.back())));
}

/// The text in quotes, with quotes, backslashes and control characters escaped. Throws DataError naming
/// `where` unless it is UTF-8.
inline std::string quoted(std::string_view text, std::string_view where) {
  require_utf8(text, where);
  constexpr std::string_view special = "\b\t\n\f\r\"\\", escape = "btnfr\"\\";
  std::string json = "\"";
  for (const char c : text) {
    if (const std::size_t at = special.find(c); at != special.npos)
      json += {'\\', escape[at]};
    else if (static_cast<unsigned char>(c) < 0x20)
      json += {'\\', 'u', '0', '0', static_cast<char>('0' + c / 16), "0123456789abcdef"[c % 16]};
    else
      json += c;
  }
  return json + '"';
}

}  // namespace loru::inline LORU_ISA::io::detail
