#include "text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace federate::report {

namespace {

constexpr const char* replacement = "\xEF\xBF\xBD";

bool continues(char c) { return (c & 0xC0) == 0x80; }

/// Bytes of the UTF-8 character that the text begins with; 0 if it begins with none (RFC 3629, section 4).
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t count = first >= 0xC2 && first <= 0xDF   ? 2
                            : first >= 0xE0 && first <= 0xEF ? 3
                            : first >= 0xF0 && first <= 0xF4 ? 4
                                                             : 0;
  if (count == 0 || text.size() < count) return 0;
  for (std::size_t i = 1; i < count; ++i)
    if (!continues(text[i])) return 0;
  const unsigned char second = byte(1);
  const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
  const bool outside = (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F);
  return overlong || outside ? 0 : count;
}

std::string_view entity(char c) {
  switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return {};
  }
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t bytes = character_bytes(text);
    const char c = text[0];
    const bool control = static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t';
    if (bytes == 0 || control || c == 0x7F)
      out += replacement;
    else if (const std::string_view name = entity(c); !name.empty())
      out += name;
    else
      out += text.substr(0, bytes);
    text.remove_prefix(std::max<std::size_t>(bytes, 1));
  }
  return out;
}

std::size_t length(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

std::string shorten(const std::string& text, std::size_t characters) {
  if (length(text) <= characters) return text;
  std::size_t bytes = 0;
  for (std::size_t seen = 0; bytes < text.size(); ++bytes)
    if (!continues(text[bytes]) && ++seen == characters) break;
  return text.substr(0, bytes) + "…";
}

std::string fixed(double value, int digits) {
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string number(double value, int digits) {
  std::string s = fixed(value, digits);
  if (s.find('.') != std::string::npos) {
    s.erase(s.find_last_not_of('0') + 1);
    if (s.ends_with('.')) s.pop_back();
  }
  return s == "-0" ? "0" : s;
}

std::string significant(double value, int digits) {
  if (value == 0.0 || !std::isfinite(value)) return number(value, 0);
  const int magnitude = static_cast<int>(std::floor(std::log10(std::abs(value))));
  if (magnitude >= -4 && magnitude < 15) return number(value, std::max(0, digits - 1 - magnitude));
  char text[64];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::string significant(std::optional<double> value, int digits) {
  return value ? significant(*value, digits) : std::string();
}

std::string tick_text(double value) {
  const double size = std::abs(value);
  if (value == 0.0 || (size >= 1e-3 && size < 1e6)) return number(value, 4);
  char text[64];
  std::snprintf(text, sizeof text, "%.3g", value);
  std::string s = text;  // 1e-06 becomes 1e-6
  for (const char* long_form : {"e-0", "e+0", "e+"})
    if (const auto at = s.find(long_form); at != std::string::npos)
      s.replace(at, std::string_view(long_form).size(), long_form[1] == '-' ? "e-" : "e");
  return s;
}

std::string counted(std::size_t count, const std::string& word) {
  return std::to_string(count) + ' ' + word + (count == 1 ? "" : "s");
}

}  // namespace federate::report
