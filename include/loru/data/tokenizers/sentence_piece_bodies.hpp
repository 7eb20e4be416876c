#pragma once
// Bodies of sentence_piece.hpp.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include <loru/data/tokenizers/detail/merge.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>
#include <loru/data/tokenizers/sentence_piece.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

inline std::string byte_token(unsigned byte) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  return concat("<0x", digits[byte / 16], digits[byte % 16], '>');
}

}  // namespace detail

LORU_INLINE SentencePiece::SentencePiece(Vocabulary vocabulary, std::vector<float> scores, SpecialIds special,
                                         std::string_view origin)
    : vocabulary_{std::move(vocabulary)}, scores_{std::move(scores)}, special_{std::move(special)} {
  require<DataError>(static_cast<Index>(scores_.size()) == size(), origin, ": expected ", size(),
                     " scores, one for each token, got ", scores_.size());
  for (std::size_t i = 0; i < scores_.size(); ++i)
    require<DataError>(std::isfinite(scores_[i]), origin, ": token ", i, ": expected a finite score, got ",
                       scores_[i]);
  for (unsigned byte = 0; byte < 256; ++byte) {
    const auto id = vocabulary_.find(detail::byte_token(byte));
    require<DataError>(id.has_value(), origin, ": expected a token ", detail::byte_token(byte), ", got none");
    bytes_[byte] = *id;
  }
}

LORU_INLINE std::vector<TokenId> SentencePiece::encode(std::string_view text) const {
  std::vector<TokenId> symbols;
  const auto add = [&](std::string_view character) {
    if (const auto id = vocabulary_.find(character)) return symbols.push_back(*id);
    for (const char byte : character) symbols.push_back(bytes_[static_cast<unsigned char>(byte)]);
  };
  if (!text.empty()) add(" ");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = detail::character_at(text, at).bytes;
    add(text.substr(at, bytes));
    at += bytes;
  }
  std::string both;
  return detail::merge_neighbours(symbols, [&](TokenId left, TokenId right) -> std::optional<detail::Join> {
    (both = vocabulary_[left]) += vocabulary_[right];
    const auto id = vocabulary_.find(both);
    if (!id) return std::nullopt;
    return detail::Join{-static_cast<double>(scores_[static_cast<std::size_t>(*id)]), *id};
  });
}

LORU_INLINE std::string SentencePiece::decode(std::span<const TokenId> ids, bool keep_special) const {
  vocabulary_.check(ids);
  const auto around = [&](TokenId id) {
    const auto among = [&](const std::vector<TokenId>& list) {
      return std::ranges::find(list, id) != list.end();
    };
    return among(special_.before) || among(special_.after) || special_.end_of_text == id;
  };
  std::string text;
  bool first = true;
  for (const TokenId id : ids) {
    if (around(id)) {
      if (keep_special) text += vocabulary_[id];
      continue;
    }
    std::string_view token = vocabulary_[id];
    const auto byte = std::ranges::find(bytes_, id);
    if (std::exchange(first, false) && token.starts_with(' ')) token.remove_prefix(1);
    if (byte != bytes_.end())
      text += static_cast<char>(byte - bytes_.begin());
    else
      text += token;
  }
  return text;
}

}  // namespace loru::inline LORU_ISA::data
