#pragma once
// Byte-pair encoding with scores, as SentencePiece and llama2.c have it.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

/// A blank and the text's characters are tokens; those that the vocabulary lacks are the tokens of their
/// bytes, "<0x00>" to "<0xFF>". Then the neighbours whose join has the largest score are joined, the leftmost
/// of equals, until none is in the vocabulary (Kudo and Richardson 2018; the order is llama2.c's). Bytes that
/// are no UTF-8 are encoded as bytes, so that each text comes back.
class SentencePiece {
 public:
  /// `scores[i]` is token i's. Throws DataError naming `origin` if one is not finite, if their number is not
  /// the vocabulary's or if a byte has no token.
  LORU_INLINE SentencePiece(Vocabulary vocabulary, std::vector<float> scores, SpecialIds special,
                            std::string_view origin = "tokenizer");

  /// Ids of the text, without those that stand around it.
  LORU_INLINE std::vector<TokenId> encode(std::string_view text) const;

  /// The text of ids, without the blank at its beginning; tokens that stand around a text are left out unless
  /// they are kept. Throws DataError for an unknown id.
  LORU_INLINE std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  Index size() const { return vocabulary_.size(); }
  const SpecialIds& special() const { return special_; }

 private:
  Vocabulary vocabulary_;
  std::vector<float> scores_;
  SpecialIds special_;
  std::array<TokenId, 256> bytes_{};
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/sentence_piece_bodies.hpp>
#endif
