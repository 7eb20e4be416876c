#pragma once
// JSON documents: small ones, such as a model's configuration or a tokenizer.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::io {

/// A value of a document. Members stand in the order of the text; no two of an object have the same key.
struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value = nullptr;

  /// The member of that key; null if this is no object or has none.
  const Json* find(std::string_view key) const;

  /// The value's kind in words.
  const char* kind() const;
};

/// A value with the place where it stands, so that errors name it: `config.json: model.vocab: expected an
/// object, got a number`. Refers to the document.
class JsonPlace {
 public:
  JsonPlace(const Json& value, std::string where) : value_{&value}, where_{std::move(where)} {}

  /// The member of that key. Throws DataError if this is no object or has none.
  JsonPlace operator[](std::string_view key) const;
  /// True if there is a member of that key that is not null.
  bool has(std::string_view key) const;

  // The value as what it has to be. Each throws DataError.
  const std::string& text() const;
  bool flag() const;
  double number() const;
  /// A whole number from `least` to `most`.
  Index whole(Index least, Index most) const;
  const Json::Array& array() const;
  const Json::Object& object() const;

  // The member of that key, or what is taken if there is none or it is null.
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  bool flag_or(std::string_view key, bool otherwise) const;
  double number_or(std::string_view key, double otherwise) const;
  Index whole_or(std::string_view key, Index least, Index most, Index otherwise) const;

  /// Throws DataError: `where: expected <expectation>, got <got>`; `got` is the value's kind if empty.
  [[noreturn]] void refuse(std::string_view expectation, std::string_view got = {}) const;

  const Json& value() const { return *value_; }
  const std::string& where() const { return where_; }

 private:
  template <class V>
  const V& as(std::string_view expectation) const {
    const V* own = std::get_if<V>(&value_->value);
    if (!own) refuse(expectation);
    return *own;
  }

  const Json* value_;
  std::string where_;
};

/// The document of a text, at most 64 values deep. Throws DataError naming `origin` and the byte if it is not
/// JSON or gives a key twice.
LORU_INLINE Json parse_json(std::string_view text, std::string_view origin);

/// The document of a file. Throws IoError, and DataError as above.
LORU_INLINE Json load_json(const std::filesystem::path& path);

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/json_bodies.hpp>
#endif
