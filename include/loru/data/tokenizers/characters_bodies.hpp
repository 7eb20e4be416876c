#pragma once
// Bodies of characters.hpp.

#include <set>
#include <utility>

#include <loru/data/tokenizers/characters.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>

namespace loru::inline LORU_ISA::data {

LORU_INLINE Characters::Characters(std::string_view text) {
  const std::u32string all = detail::to_characters(text);
  std::set<char32_t> distinct(all.begin(), all.end());
  distinct.erase(detail::replacement_character);
  std::vector<std::string> tokens{detail::utf8_of(detail::replacement_character)};
  for (const char32_t c : distinct) tokens.push_back(detail::utf8_of(c));
  vocabulary_ = {std::move(tokens), "characters"};
  special_.unknown = 0;
}

LORU_INLINE std::vector<TokenId> Characters::encode(std::string_view text) const {
  std::vector<TokenId> ids;
  for (const char32_t c : detail::to_characters(text))
    ids.push_back(vocabulary_.find(detail::utf8_of(c)).value_or(0));
  return ids;
}

LORU_INLINE std::string Characters::decode(std::span<const TokenId> ids, bool) const {
  vocabulary_.check(ids);
  std::string text;
  for (const TokenId id : ids) text += vocabulary_[id];
  return text;
}

}  // namespace loru::inline LORU_ISA::data
