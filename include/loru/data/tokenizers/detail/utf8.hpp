#pragma once
// UTF-8, read as Rust's lossy conversion reads it.

#include <cstddef>
#include <string>
#include <string_view>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::data::detail {

inline constexpr char32_t replacement_character = 0xFFFD;

struct Character {
  char32_t value;
  std::size_t bytes;  // of the text that it stands for
};

/// The character at byte `at` < text.size(). Bytes that are no UTF-8 are U+FFFD: one for the longest
/// beginning of a well-formed sequence, else one for a byte (Unicode 15, section 3.9, "maximal subparts").
inline Character character_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  const unsigned first = byte(at);
  if (first < 0x80) return {first, 1};
  if (first < 0xC2 || first > 0xF4) return {replacement_character, 1};
  const std::size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  // What the second byte may be: no shorter form, no surrogate, nothing above U+10FFFF.
  unsigned lowest = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  unsigned highest = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  char32_t value = first & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned next = byte(at + i);
    if (next < lowest || next > highest) return {replacement_character, i};
    value = value << 6 | (next & 0x3F);
    lowest = 0x80, highest = 0xBF;
  }
  return {value, length};
}

inline void append_utf8(std::string& text, char32_t c) {
  const auto tail = [&](int shift) { text += static_cast<char>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) {
    text += static_cast<char>(c);
  } else if (c < 0x800) {
    text += static_cast<char>(0xC0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += static_cast<char>(0xE0 | c >> 12);
    tail(6), tail(0);
  } else {
    text += static_cast<char>(0xF0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

inline std::string utf8_of(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

inline std::string to_utf8(std::u32string_view characters) {
  std::string text;
  for (const char32_t c : characters) append_utf8(text, c);
  return text;
}

inline std::u32string to_characters(std::string_view text) {
  std::u32string characters;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    characters += c.value;
    at += c.bytes;
  }
  return characters;
}

/// The text with U+FFFD for what is no UTF-8.
inline std::string valid_utf8(std::string_view text) { return to_utf8(to_characters(text)); }

}  // namespace loru::inline LORU_ISA::data::detail
