#pragma once
// WordPiece, BERT's tokenizer.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/tokenizers/added_tokens.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

struct WordPieceOptions {
  bool clean = true;          // drop control characters, white space becomes blanks
  bool ideographs = true;     // each Chinese character is a word
  bool strip_accents = true;  // NFD without non-spacing marks
  bool lower_case = true;
  std::string unknown = "[UNK]";
  std::string continuation = "##";  // begins a piece that continues a word
  Index longest_word = 100;         // characters; a longer word is unknown
  bool tidy = true;                 // decoding leaves out the blank before punctuation
};

/// A word is cut into the longest pieces of the vocabulary, from its left; a word that cannot be is unknown
/// (Schuster and Nakajima 2012, Devlin et al. 2019). Gives what the package `tokenizers` gives, on every
/// character (tests/golden/tokenizers). Bytes that are no UTF-8 count as U+FFFD, which cleaning drops.
class WordPiece {
 public:
  /// Throws DataError naming `origin` if the unknown token is not in the vocabulary.
  LORU_INLINE WordPiece(Vocabulary vocabulary, WordPieceOptions options, std::vector<AddedToken> added,
                        SpecialIds special, std::string_view origin = "tokenizer");

  /// Ids of the text, without those that stand around it.
  LORU_INLINE std::vector<TokenId> encode(std::string_view text) const;

  /// The text of ids, special tokens left out unless they are kept. Throws DataError for an unknown id.
  LORU_INLINE std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  Index size() const { return vocabulary_.size(); }
  const SpecialIds& special() const { return special_; }

 private:
  LORU_INLINE void encode_words(std::u32string_view text, std::vector<TokenId>& ids) const;
  LORU_INLINE void encode_word(std::u32string_view word, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  WordPieceOptions options_;
  AddedTokens raw_, normalised_;
  std::vector<bool> special_tokens_;      // by id
  std::map<TokenId, std::string> spelt_;  // added tokens in their normal form, as they are decoded
  SpecialIds special_;
  TokenId unknown_ = 0;
  std::size_t longest_piece_ = 0;  // bytes
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/word_piece_bodies.hpp>
#endif
