#pragma once
// Bodies of json.hpp. Includes a JSON library.

#include <algorithm>
#include <limits>
#include <sstream>

#include <loru/io/detail/json.hpp>
#include <loru/io/file.hpp>
#include <loru/io/json.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// Builds a document from the events of nlohmann's parser.
class JsonBuilder {
 public:
  explicit JsonBuilder(std::string_view origin) : origin_{origin} {}

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(std::int64_t value) { return add(value); }
  bool number_unsigned(std::uint64_t value) {
    constexpr auto limit = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return value <= limit ? add(static_cast<std::int64_t>(value)) : add(static_cast<double>(value));
  }
  bool number_float(double value, const std::string&) { return add(value); }
  bool string(std::string& value) { return add(std::move(value)); }
  bool binary(JsonTypes::binary_t&) { return false; }  // never in text

  bool start_object(std::size_t) { return open({Json::Object{}}); }
  bool start_array(std::size_t) { return open({Json::Array{}}); }
  bool key(std::string& text) {
    key_ = std::move(text);
    return true;
  }
  bool end_array() { return close(); }
  bool end_object() {
    std::vector<std::string_view> keys;
    for (const auto& member : std::get<Json::Object>(open_.back().value)) keys.push_back(member.first);
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    require<DataError>(twice == keys.end(), origin_, ": expected each key once, got '",
                       twice == keys.end() ? std::string_view{} : twice->substr(0, 80), "' twice");
    return close();
  }

  /// `position` counts from 1 and is that of the last byte read.
  bool parse_error(std::size_t position, const std::string&, const JsonTypes::exception&) {
    fail<DataError>(origin_, ": byte ", position > 0 ? position - 1 : 0,
                    ": expected JSON, got something else or the end");
  }

  Json root;

 private:
  template <class V>
  bool add(V&& value) {
    place(Json{std::forward<V>(value)});
    return true;
  }
  bool open(Json container) {
    constexpr std::size_t deepest = 64;
    require<DataError>(open_.size() < deepest, origin_, ": expected JSON of at most ", deepest,
                       " values inside each other, got more");
    open_.push_back(std::move(container));
    keys_.push_back(std::move(key_));
    return true;
  }
  bool close() {
    Json done = std::move(open_.back());
    open_.pop_back();
    key_ = std::move(keys_.back());
    keys_.pop_back();
    place(std::move(done));
    return true;
  }
  void place(Json value) {
    if (open_.empty())
      root = std::move(value);
    else if (auto* array = std::get_if<Json::Array>(&open_.back().value))
      array->push_back(std::move(value));
    else
      std::get<Json::Object>(open_.back().value).emplace_back(std::move(key_), std::move(value));
  }

  std::string_view origin_;
  std::vector<Json> open_;         // the containers around the place at hand
  std::vector<std::string> keys_;  // the key of each
  std::string key_;
};

}  // namespace detail

LORU_INLINE const Json* Json::find(std::string_view key) const {
  const auto* members = std::get_if<Object>(&value);
  if (!members) return nullptr;
  const auto found =
      std::find_if(members->begin(), members->end(), [&](const auto& m) { return m.first == key; });
  return found == members->end() ? nullptr : &found->second;
}

LORU_INLINE const char* Json::kind() const {
  constexpr const char* kinds[] = {"null",     "true or false", "a whole number", "a number",
                                   "a string", "an array",      "an object"};
  return kinds[value.index()];
}

LORU_INLINE JsonPlace JsonPlace::operator[](std::string_view key) const {
  object();
  const Json* found = value_->find(key);
  require<DataError>(found, where_, ": expected a member '", key, "', got none");
  return {*found, concat(where_,
                         where_.ends_with(": ")             ? ""
                         : where_.find(": ") == where_.npos ? ": "
                                                            : ".",
                         key)};
}

LORU_INLINE bool JsonPlace::has(std::string_view key) const {
  const Json* found = value_->find(key);
  return found && !std::holds_alternative<std::nullptr_t>(found->value);
}

LORU_INLINE const std::string& JsonPlace::text() const { return as<std::string>("a string"); }
LORU_INLINE bool JsonPlace::flag() const { return as<bool>("true or false"); }
LORU_INLINE const Json::Array& JsonPlace::array() const { return as<Json::Array>("an array"); }
LORU_INLINE const Json::Object& JsonPlace::object() const { return as<Json::Object>("an object"); }

LORU_INLINE double JsonPlace::number() const {
  if (const auto* whole = std::get_if<std::int64_t>(&value_->value)) return static_cast<double>(*whole);
  return as<double>("a number");
}

LORU_INLINE Index JsonPlace::whole(Index least, Index most) const {
  const std::string expectation = concat("a whole number in ", least, " .. ", most);
  const std::int64_t value = as<std::int64_t>(expectation);
  if (value < least || value > most) refuse(expectation, concat(value));
  return static_cast<Index>(value);
}

LORU_INLINE std::string JsonPlace::text_or(std::string_view key, std::string_view otherwise) const {
  return has(key) ? (*this)[key].text() : std::string(otherwise);
}
LORU_INLINE bool JsonPlace::flag_or(std::string_view key, bool otherwise) const {
  return has(key) ? (*this)[key].flag() : otherwise;
}
LORU_INLINE double JsonPlace::number_or(std::string_view key, double otherwise) const {
  return has(key) ? (*this)[key].number() : otherwise;
}
LORU_INLINE Index JsonPlace::whole_or(std::string_view key, Index least, Index most, Index otherwise) const {
  return has(key) ? (*this)[key].whole(least, most) : otherwise;
}

LORU_INLINE void JsonPlace::refuse(std::string_view expectation, std::string_view got) const {
  fail<DataError>(where_, ": expected ", expectation, ", got ", got.empty() ? value_->kind() : got);
}

LORU_INLINE Json parse_json(std::string_view text, std::string_view origin) {
  const std::size_t nul = text.find('\0');  // would end the text for the parser
  require<DataError>(nul == text.npos, origin, ": byte ", nul, ": expected JSON, got byte 0");
  std::istringstream stream{std::string(text)};
  detail::JsonBuilder builder{origin};
  detail::parse_json(stream, builder);  // true: what fails throws
  return std::move(builder.root);
}

LORU_INLINE Json load_json(const std::filesystem::path& path) {
  return parse_json(read_text(path), path.native());
}

}  // namespace loru::inline LORU_ISA::io
