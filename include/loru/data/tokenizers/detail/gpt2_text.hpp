#pragma once
// How byte-level tokenizers cut a text into pieces: GPT-2's expression
//
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// (Radford et al., 2019, encoder.py) by hand, after digits have been set apart where a tokenizer wants that.

#include <cstddef>
#include <string_view>

#include <loru/data/tokenizers/detail/letter_tables.hpp>
#include <loru/data/tokenizers/detail/properties.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>

namespace loru::inline LORU_ISA::data::detail {

inline unsigned letter_properties_of(char32_t c) { return properties_of(letter_properties, c); }

/// The end of the run of characters from `at` whose class among letter, number, space and none is `kind`.
inline std::size_t end_of_run(std::string_view text, std::size_t at, unsigned kind) {
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if ((letter_properties_of(c.value) & ~unsigned{LetterProperty::digit}) != kind) break;
    at += c.bytes;
  }
  return at;
}

inline unsigned kind_at(std::string_view text, std::size_t at) {
  return letter_properties_of(character_at(text, at).value) & ~unsigned{LetterProperty::digit};
}

/// The end of GPT-2's piece that begins at `at` < text.size().
inline std::size_t end_of_piece(std::string_view text, std::size_t at) {
  for (const std::string_view suffix : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at, suffix.size()) == suffix) return at + suffix.size();
  const unsigned kind = kind_at(text, at);
  if (!(kind & LetterProperty::space)) return end_of_run(text, at, kind);
  // One blank belongs to the word after it.
  if (text[at] == ' ' && at + 1 < text.size() && !(kind_at(text, at + 1) & LetterProperty::space))
    return end_of_run(text, at + 1, kind_at(text, at + 1));
  const std::size_t end = end_of_run(text, at, LetterProperty::space);
  if (end == text.size()) return end;
  // Before a word, all white space but its last character, if that leaves any.
  std::size_t last = end - 1;
  while ((text[last] & 0xC0) == 0x80) --last;
  return last > at ? last : end;
}

/// f(piece) for each piece of a text of valid UTF-8.
template <class F>
void split_gpt2(std::string_view text, const F& f) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = end_of_piece(text, at);
    f(text.substr(at, end - at));
    at = end;
  }
}

/// f(piece) for each numeric character by itself, and for each stretch between them.
template <class F>
void split_digits(std::string_view text, const F& f) {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    if (letter_properties_of(c.value) & LetterProperty::digit) {
      if (begin < at) f(text.substr(begin, at - begin));
      f(text.substr(at, c.bytes));
      begin = at + c.bytes;
    }
    at += c.bytes;
  }
  if (begin < text.size()) f(text.substr(begin));
}

}  // namespace loru::inline LORU_ISA::data::detail
