#pragma once
// A token for each character of a text.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

/// The characters of a text in the order of their code points, from id 1. Id 0 is U+FFFD and stands for every
/// other character and for bytes that are no UTF-8.
class Characters {
 public:
  LORU_INLINE explicit Characters(std::string_view text);

  LORU_INLINE std::vector<TokenId> encode(std::string_view text) const;

  /// Throws DataError for an unknown id.
  LORU_INLINE std::string decode(std::span<const TokenId> ids, bool keep_special = false) const;

  Index size() const { return vocabulary_.size(); }
  const SpecialIds& special() const { return special_; }

 private:
  Vocabulary vocabulary_;
  SpecialIds special_;
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/characters_bodies.hpp>
#endif
