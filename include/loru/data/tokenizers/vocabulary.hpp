#pragma once
// The tokens of a tokenizer, by text and by id.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

using TokenId = std::int32_t;

/// Tokens with ids from 0, each text once.
class Vocabulary {
 public:
  Vocabulary() = default;

  /// Token i is tokens[i]. Throws DataError naming `origin` if two are equal or there are none.
  Vocabulary(std::vector<std::string> tokens, std::string_view origin) : tokens_{std::move(tokens)} {
    require<DataError>(!tokens_.empty(), origin, ": expected at least one token, got none");
    ids_.reserve(tokens_.size());
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const auto [first, fresh] = ids_.emplace(tokens_[i], static_cast<TokenId>(i));
      require<DataError>(fresh, origin, ": expected each token once, got '", tokens_[i].substr(0, 80),
                         "' as ", first->second, " and ", i);
    }
  }

  Index size() const { return static_cast<Index>(tokens_.size()); }

  std::optional<TokenId> find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional{found->second};
  }

  const std::string& operator[](TokenId id) const { return tokens_[static_cast<std::size_t>(id)]; }

  /// Throws DataError for an id outside [0, size).
  void check(std::span<const TokenId> ids) const {
    for (const TokenId id : ids)
      require<DataError>(id >= 0 && id < size(), "tokenizer: decode: expected ids in [0, ", size(), "), got ",
                         id);
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  std::vector<std::string> tokens_;
  std::unordered_map<std::string, TokenId, Hash, std::equal_to<>> ids_;
};

/// Ids with a meaning of their own, and those that stand around a text: [CLS] before, [SEP] after.
struct SpecialIds {
  std::optional<TokenId> unknown = {}, padding = {}, mask = {}, end_of_text = {};
  std::vector<TokenId> before = {}, after = {};
};

}  // namespace loru::inline LORU_ISA::data
