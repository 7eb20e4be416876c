#pragma once
// Tokens that are found in a text before it is cut into words, such as [MASK] and <|im_start|>.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

struct AddedToken {
  std::string content;
  TokenId id = 0;
  bool special = true;                           // left out of decoded text
  bool normalised = false;                       // sought in the normalised text, else in the text as it is
  bool strip_left = false, strip_right = false;  // takes the white space on that side with it
};

/// A stretch of a text: one of the added tokens, or what lies between them.
struct Stretch {
  std::string_view text;
  std::optional<TokenId> token = {};
};

/// A set of added tokens, found from the left, the longest first.
class AddedTokens {
 public:
  AddedTokens() = default;

  /// Throws DataError naming `origin` if one is empty or two are equal.
  LORU_INLINE AddedTokens(std::vector<AddedToken> tokens, std::string_view origin);

  /// The stretches of a text of valid UTF-8, in order, without empty ones.
  LORU_INLINE std::vector<Stretch> split(std::string_view text) const;

 private:
  LORU_INLINE const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // by content
};

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/tokenizers/added_tokens_bodies.hpp>
#endif
