#pragma once
// Byte-level byte-pair encoding, the tokenizer of GPT-2 and SmolLM2.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/tokenizers/added_tokens.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

struct BytePairOptions {
  bool single_digits = false;  // each digit is a piece, before the text is cut any further
  bool cut = true;             // by GPT-2's expression, else pieces are not cut
  bool leading_blank = false;  // a text without a blank at its beginning gets one
  bool whole_words = false;    // a piece that is in the vocabulary is that token, whatever the merges say
  bool join_unknown = false;   // neighbouring unknown bytes are one unknown token
};

/// The bytes of a piece of text are tokens; neighbours are merged in the order of the list of merges
/// (Sennrich et al. 2016; on bytes: Radford et al. 2019). Gives what the package `tokenizers` gives, on every
/// character (tests/golden/tokenizers). Bytes that are no UTF-8 count as U+FFFD; a byte that the vocabulary
/// lacks is the unknown token, or nothing if there is none, as in that package.
class BytePairs {
 public:
  /// Tokens and merges are spelt as the files spell them: one character for each byte ("Ġ" for a blank).
  /// Throws DataError naming `origin` if a part of a merge or its result is not in the vocabulary.
  LORU_INLINE BytePairs(Vocabulary vocabulary, const std::vector<std::pair<std::string, std::string>>& merges,
                        BytePairOptions options, std::vector<AddedToken> added, SpecialIds special,
                        std::string_view origin = "tokenizer");

  /// Ids of the text, without those that stand around it.
  LORU_INLINE std::vector<TokenId> encode(std::string_view text) const;

  /// The text of ids, special tokens left out unless they are kept; what is no UTF-8 becomes U+FFFD. Throws
  /// DataError for an unknown id.
  LORU_INLINE std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  Index size() const { return vocabulary_.size(); }
  const SpecialIds& special() const { return special_; }

 private:
  struct Merge {
    std::int32_t rank;
    TokenId id;
  };

  LORU_INLINE void encode_text(std::string_view text, std::vector<TokenId>& ids) const;
  LORU_INLINE void encode_piece(std::string_view piece, std::vector<TokenId>& ids) const;

  Vocabulary vocabulary_;
  BytePairOptions options_;
  AddedTokens raw_, normalised_;
  std::vector<bool> special_tokens_;  // by id
  SpecialIds special_;
  std::array<TokenId, 256> bytes_{};                 // -1: not in the vocabulary
  std::unordered_map<std::uint64_t, Merge> merges_;  // by left << 32 | right
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/byte_pairs_bodies.hpp>
#endif
