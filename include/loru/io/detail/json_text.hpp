#pragma once
// The part of JSON (RFC 8259) that safetensors headers are made of: objects, arrays, strings, natural
// numbers. Read directly rather than through a document, so that every error has its exact byte offset, a key
// given twice is seen, integers never pass through doubles, and programs that exchange tensors compile no
// JSON library.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include <loru/core/error.hpp>

namespace loru::io::detail {

/// Length in bytes of the UTF-8 sequence (RFC 3629) that text begins with, or 0 if it begins with none.
inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return text.empty() ? 0 : 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  // The second byte is narrower after some leads: no overlong forms, no surrogates, nothing above U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (lead < 0xC2 || lead > 0xF4 || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
  return length;
}

/// Appends a code point as UTF-8.
inline void append_utf8(std::string& out, std::uint32_t code) {
  const auto push = [&](std::uint32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (code < 0x80) return push(code);
  if (code < 0x800) {
    push(0xC0 | (code >> 6));
  } else if (code < 0x10000) {
    push(0xE0 | (code >> 12));
    push(0x80 | ((code >> 6) & 0x3F));
  } else {
    push(0xF0 | (code >> 18));
    push(0x80 | ((code >> 12) & 0x3F));
    push(0x80 | ((code >> 6) & 0x3F));
  }
  push(0x80 | (code & 0x3F));
}

/// Text as a JSON string. Throws DataError naming `what` if it is not UTF-8.
inline std::string json_string(std::string_view text, std::string_view what) {
  constexpr const char* digits = "0123456789abcdef";
  std::string out = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    require<DataError>(length > 0, what, ": expected UTF-8 text, got byte ",
                       static_cast<int>(static_cast<unsigned char>(text.front())));
    const auto c = static_cast<unsigned char>(text.front());
    if (c == '"' || c == '\\') out += '\\';
    if (c < 0x20)
      ((out += "\\u00") += digits[c >> 4]) += digits[c & 15];
    else
      out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out += '"';
}

/// Reads JSON tokens off a text that begins at byte `base` of `origin`. Throws DataError with origin and
/// offset.
class JsonScanner {
 public:
  JsonScanner(std::string_view text, std::size_t base, std::string_view origin)
      : text_{text}, base_{base}, origin_{origin} {}

  /// Byte offset in the origin of what comes next.
  std::size_t offset() const { return base_ + at_; }
  bool done() {
    skip_space();
    return at_ == text_.size();
  }

  /// Takes c if it comes next.
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) unexpected(concat("'", c, "'"));
  }

  /// A string, its escapes resolved.
  std::string string(const char* what) {
    if (!take('"')) unexpected(concat(what, " (a string)"));
    std::string out;
    while (!take_raw('"')) {
      if (take_raw('\\')) {
        escape(out);
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0 || static_cast<unsigned char>(text_[at_]) < 0x20)
        unexpected("UTF-8 text and a closing quote");
      out += text_.substr(at_, length);
      at_ += length;
    }
    return out;
  }

  /// An integer of [0, 2^63).
  std::int64_t natural(const char* what) {
    skip_space();
    const std::size_t begin = at_;
    const auto digit = [&] { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; };
    if (!digit()) unexpected(concat(what, " (an integer >= 0)"));
    constexpr std::int64_t limit = std::numeric_limits<std::int64_t>::max();
    std::int64_t value = 0;
    for (; digit(); ++at_) {
      const std::int64_t d = text_[at_] - '0';
      if (value > (limit - d) / 10) fail_at(begin, concat(what, " below 2^63"), "a larger one");
      value = 10 * value + d;
    }
    if (text_[begin] == '0' && at_ - begin > 1)
      fail_at(begin, concat(what, " (an integer)"), "a leading zero");
    if (at_ < text_.size() && (text_[at_] == '.' || (text_[at_] | 0x20) == 'e'))
      fail_at(begin, concat(what, " (an integer)"), "a fraction or exponent");
    return value;
  }

  /// Throws: `expectation` does not come next.
  [[noreturn]] void unexpected(std::string_view expectation) const {
    if (at_ >= text_.size()) fail_at(at_, expectation, "the end of the header");
    const auto c = static_cast<unsigned char>(text_[at_]);
    if (c > 0x20 && c < 0x7F) fail_at(at_, expectation, concat("'", text_[at_], "'"));
    fail_at(at_, expectation, concat("byte ", static_cast<int>(c)));
  }

 private:
  [[noreturn]] void fail_at(std::size_t at, std::string_view expectation, std::string_view got) const {
    fail<DataError>(origin_, ": byte ", base_ + at, ": expected ", expectation, ", got ", got);
  }
  void skip_space() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
  }
  bool take_raw(char c) {
    const bool here = at_ < text_.size() && text_[at_] == c;
    at_ += here;
    return here;
  }
  /// What follows a backslash.
  void escape(std::string& out) {
    constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
    const std::size_t found = at_ < text_.size() ? from.find(text_[at_]) : std::string_view::npos;
    if (found != std::string_view::npos) {
      ++at_;
      out += to[found];
      return;
    }
    const std::size_t begin = at_ - 1;
    if (!take_raw('u')) unexpected("an escape");
    std::uint32_t code = hex4();
    if (code >= 0xD800 && code < 0xDC00 && take_raw('\\') && take_raw('u')) {
      const std::uint32_t low = hex4();
      code = low >= 0xDC00 && low < 0xE000 ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xD800;
    }
    if (code >= 0xD800 && code < 0xE000) fail_at(begin, "a surrogate pair", "half of one");
    append_utf8(out, code);
  }
  std::uint32_t hex4() {
    constexpr std::string_view digits = "0123456789abcdef";
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '?';
      const std::size_t value = digits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c | 0x20) : c);
      if (value == std::string_view::npos) unexpected("four hexadecimal digits");
      code = 16 * code + static_cast<std::uint32_t>(value);
    }
    return code;
  }

  std::string_view text_;
  std::size_t base_;
  std::string_view origin_;
  std::size_t at_ = 0;
};

}  // namespace loru::io::detail
