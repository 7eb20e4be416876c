#pragma once
// Bodies of added_tokens.hpp.

#include <algorithm>
#include <utility>

#include <loru/data/tokenizers/added_tokens.hpp>
#include <loru/data/tokenizers/detail/bert_text.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

inline bool is_white(char32_t c) { return bert_properties_of(c) & BertProperty::separator; }

/// Bytes of white space at the beginning of a text.
inline std::size_t white_prefix(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Character c = character_at(text, at);
    if (!is_white(c.value)) break;
    at += c.bytes;
  }
  return at;
}

/// Where the white space at the end of a text begins.
inline std::size_t white_suffix(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t last = end - 1;
    while (last > 0 && (text[last] & 0xC0) == 0x80) --last;
    if (!is_white(character_at(text, last).value)) break;
    end = last;
  }
  return end;
}

/// The added tokens that are sought in the text as it is, or in the normalised text.
inline std::vector<AddedToken> sought_in(std::vector<AddedToken> all, bool normalised) {
  std::erase_if(all, [&](const AddedToken& token) { return token.normalised != normalised; });
  return all;
}

/// Whether each id is a special token. Throws DataError for an id outside the vocabulary.
inline std::vector<bool> special_flags(const std::vector<AddedToken>& added, Index size,
                                       std::string_view origin) {
  std::vector<bool> flags(static_cast<std::size_t>(size));
  for (const AddedToken& token : added) {
    require<DataError>(token.id >= 0 && token.id < size, origin, ": added token '",
                       token.content.substr(0, 80), "': expected an id in [0, ", size, "), got ", token.id);
    if (token.special) flags[static_cast<std::size_t>(token.id)] = true;
  }
  return flags;
}

}  // namespace detail

LORU_INLINE AddedTokens::AddedTokens(std::vector<AddedToken> tokens, std::string_view origin)
    : tokens_{std::move(tokens)} {
  const auto content = [](const AddedToken& token) -> const std::string& { return token.content; };
  std::ranges::sort(tokens_, {}, content);
  for (std::size_t i = 0; i < tokens_.size(); ++i)
    require<DataError>(
        !tokens_[i].content.empty() && (i == 0 || tokens_[i].content != tokens_[i - 1].content), origin,
        ": expected added tokens that are not empty and not alike, got '", tokens_[i].content.substr(0, 80),
        "'");
}

LORU_INLINE const AddedToken* AddedTokens::longest_at(std::string_view text) const {
  // [low, high) are the tokens that begin with the text's first `depth` bytes.
  auto low = tokens_.begin(), high = tokens_.end();
  const AddedToken* longest = nullptr;
  for (std::size_t depth = 0; depth < text.size() && low != high; ++depth) {
    const auto byte = static_cast<unsigned char>(text[depth]);
    const auto next = [&](const AddedToken& token) {
      return token.content.size() > depth ? static_cast<unsigned char>(token.content[depth]) : -1;
    };
    low = std::partition_point(low, high, [&](const AddedToken& token) { return next(token) < byte; });
    high = std::partition_point(low, high, [&](const AddedToken& token) { return next(token) == byte; });
    if (low != high && low->content.size() == depth + 1) longest = &*low;
  }
  return longest;
}

LORU_INLINE std::vector<Stretch> AddedTokens::split(std::string_view text) const {
  std::vector<Stretch> stretches;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* token = longest_at(text.substr(at));
    if (!token) {
      ++at;
      continue;
    }
    std::size_t start = at, stop = at + token->content.size();
    at = stop;
    if (token->strip_left) start = std::max(begin, detail::white_suffix(text.substr(0, start)));
    if (token->strip_right) stop += detail::white_prefix(text.substr(stop));
    if (begin < start) stretches.push_back({text.substr(begin, start - begin)});
    stretches.push_back({text.substr(start, stop - start), token->id});
    begin = stop;
  }
  if (begin < text.size()) stretches.push_back({text.substr(begin)});
  return stretches;
}

}  // namespace loru::inline LORU_ISA::data
