#pragma once
// What a tokenizer is, and any of them behind one type.

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/data/tokenizers/vocabulary.hpp>

namespace loru::inline LORU_ISA::data {

/// Texts become ids in [0, size) and come back.
template <class T>
concept TokenizerLike = requires(const T& t, std::string_view text, std::span<const TokenId> ids, bool keep) {
  { t.encode(text) } -> std::same_as<std::vector<TokenId>>;
  { t.decode(ids, keep) } -> std::same_as<std::string>;
  { t.size() } -> std::same_as<Index>;
  { t.special() } -> std::same_as<const SpecialIds&>;
};

/// Any tokenizer. Copies share it.
class Tokenizer {
 public:
  template <TokenizerLike T>
    requires(!std::same_as<T, Tokenizer>)
  Tokenizer(T tokenizer) : own_{std::make_shared<Holder<T>>(std::move(tokenizer))} {}

  /// Ids of the text, without those that stand around it.
  std::vector<TokenId> encode(std::string_view text) const { return own_->encode(text); }

  /// The text of ids, special tokens left out unless they are kept. Throws DataError for an unknown id.
  std::string decode(std::span<const TokenId> ids, bool keep_special = false) const {
    return own_->decode(ids, keep_special);
  }

  /// Number of ids.
  Index size() const { return own_->size(); }
  const SpecialIds& special() const { return own_->special(); }

 private:
  struct Any {
    virtual ~Any() = default;
    virtual std::vector<TokenId> encode(std::string_view text) const = 0;
    virtual std::string decode(std::span<const TokenId> ids, bool keep_special) const = 0;
    virtual Index size() const = 0;
    virtual const SpecialIds& special() const = 0;
  };

  template <class T>
  struct Holder final : Any {
    explicit Holder(T t) : tokenizer{std::move(t)} {}
    std::vector<TokenId> encode(std::string_view text) const override { return tokenizer.encode(text); }
    std::string decode(std::span<const TokenId> ids, bool keep_special) const override {
      return tokenizer.decode(ids, keep_special);
    }
    Index size() const override { return tokenizer.size(); }
    const SpecialIds& special() const override { return tokenizer.special(); }

    T tokenizer;
  };

  std::shared_ptr<const Any> own_;
};

/// The ids of a text as a model gets it: those that stand before it, its first ids, those that stand after
/// it; at most `length` in all. Throws ConfigError if there is no room for a text.
inline std::vector<TokenId> framed(const Tokenizer& tokenizer, std::vector<TokenId> ids, Index length) {
  const SpecialIds& special = tokenizer.special();
  const std::size_t frame = special.before.size() + special.after.size();
  require<ConfigError>(length > static_cast<Index>(frame), "text.length: expected more than ", frame,
                       ", the tokens around a text, got ", length);
  if (const std::size_t room = static_cast<std::size_t>(length) - frame; ids.size() > room) ids.resize(room);
  ids.insert(ids.begin(), special.before.begin(), special.before.end());
  ids.insert(ids.end(), special.after.begin(), special.after.end());
  return ids;
}

}  // namespace loru::inline LORU_ISA::data
