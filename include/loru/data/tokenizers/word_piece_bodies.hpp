#pragma once
// Bodies of word_piece.hpp.

#include <algorithm>
#include <utility>

#include <loru/data/tokenizers/added_tokens_bodies.hpp>
#include <loru/data/tokenizers/detail/bert_text.hpp>
#include <loru/data/tokenizers/detail/utf8.hpp>
#include <loru/data/tokenizers/word_piece.hpp>

namespace loru::inline LORU_ISA::data {

LORU_INLINE WordPiece::WordPiece(Vocabulary vocabulary, WordPieceOptions options,
                                 std::vector<AddedToken> added, SpecialIds special, std::string_view origin)
    : vocabulary_{std::move(vocabulary)}, options_{std::move(options)}, special_{std::move(special)} {
  special_tokens_ = detail::special_flags(added, size(), origin);
  raw_ = {detail::sought_in(added, false), origin};
  std::vector<AddedToken> normalised = detail::sought_in(std::move(added), true);
  const detail::BertNormaliser normalise{options_.clean, options_.ideographs, options_.strip_accents,
                                         options_.lower_case};
  for (AddedToken& token : normalised) {
    token.content = detail::to_utf8(normalise(detail::to_characters(token.content)));
    spelt_[token.id] = token.content;
  }
  normalised_ = {std::move(normalised), origin};
  const auto unknown = vocabulary_.find(options_.unknown);
  require<DataError>(unknown.has_value(), origin, ": expected the unknown token '", options_.unknown,
                     "' in the vocabulary, got none");
  unknown_ = *unknown;
  special_.unknown = unknown_;
  for (TokenId id = 0; id < size(); ++id) longest_piece_ = std::max(longest_piece_, vocabulary_[id].size());
}

LORU_INLINE std::vector<TokenId> WordPiece::encode(std::string_view text) const {
  const detail::BertNormaliser normalise{options_.clean, options_.ideographs, options_.strip_accents,
                                         options_.lower_case};
  const std::string valid = detail::valid_utf8(text);
  std::vector<TokenId> ids;
  for (const Stretch& stretch : raw_.split(valid)) {
    if (stretch.token) {
      ids.push_back(*stretch.token);
      continue;
    }
    const std::string normal = detail::to_utf8(normalise(detail::to_characters(stretch.text)));
    for (const Stretch& inner : normalised_.split(normal))
      if (inner.token)
        ids.push_back(*inner.token);
      else
        encode_words(detail::to_characters(inner.text), ids);
  }
  return ids;
}

LORU_INLINE void WordPiece::encode_words(std::u32string_view text, std::vector<TokenId>& ids) const {
  detail::split_words(text, [&](std::u32string_view word) { encode_word(word, ids); });
}

LORU_INLINE void WordPiece::encode_word(std::u32string_view word, std::vector<TokenId>& ids) const {
  const std::size_t before = ids.size();
  std::string piece;
  const auto unknown = [&] {
    ids.resize(before);
    ids.push_back(unknown_);
  };
  if (static_cast<Index>(word.size()) > options_.longest_word) return unknown();
  for (std::size_t begin = 0; begin < word.size();) {
    piece = begin > 0 ? options_.continuation : std::string{};
    std::size_t end = begin, found_end = begin;
    TokenId found = -1;
    while (end < word.size() && piece.size() <= longest_piece_) {
      detail::append_utf8(piece, word[end++]);
      if (const auto id = vocabulary_.find(piece)) found = *id, found_end = end;
    }
    if (found_end == begin) return unknown();
    ids.push_back(found);
    begin = found_end;
  }
}

namespace detail {

/// The text without the blank before punctuation and in contractions, as the package `tokenizers` decodes.
inline std::string tidied(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> changes[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : changes)
    for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
      text.replace(at, from.size(), to);
  return text;
}

}  // namespace detail

LORU_INLINE std::string WordPiece::decode(std::span<const TokenId> ids, bool keep_special) const {
  vocabulary_.check(ids);
  std::string text;
  bool first = true;
  for (const TokenId id : ids) {
    if (!keep_special && special_tokens_[static_cast<std::size_t>(id)]) continue;
    const auto own = spelt_.find(id);
    std::string_view token = own == spelt_.end() ? vocabulary_[id] : own->second;
    std::string piece;
    if (!std::exchange(first, false)) {
      if (token.starts_with(options_.continuation))
        token.remove_prefix(options_.continuation.size());
      else
        piece = " ";
    }
    piece += token;
    text += options_.tidy ? detail::tidied(std::move(piece)) : piece;
  }
  return text;
}

}  // namespace loru::inline LORU_ISA::data
