#pragma once
// The parser of nlohmann-json, without its documents: a seventh of the time to compile. The one header of
// loru that includes the library.

#if __has_include(<nlohmann/detail/input/parser.hpp>)
#include <nlohmann/detail/input/parser.hpp>
#else  // the release in a single file
#include <nlohmann/json.hpp>
#endif

#include <cstdint>
#include <istream>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::io::detail {

/// What the parser reads values into.
struct JsonTypes {
  using number_integer_t = std::int64_t;
  using number_unsigned_t = std::uint64_t;
  using number_float_t = double;
  using string_t = std::string;
  using binary_t = std::vector<std::uint8_t>;  // never in text
  using exception = nlohmann::detail::exception;
};

}  // namespace loru::inline LORU_ISA::io::detail

/// The parser takes types that count as a document.
template <>
struct nlohmann::detail::is_basic_json<loru::io::detail::JsonTypes> : std::true_type {};

namespace loru::inline LORU_ISA::io::detail {

/// Reads one JSON value and tells `events` of its parts (nlohmann's SAX interface), in the order of the text.
/// False once one of the events returns false.
template <class Events>
bool parse_json(std::istream& text, Events& events) {
  auto adapter = nlohmann::detail::input_adapter(text);
  return nlohmann::detail::parser<JsonTypes, decltype(adapter)>(std::move(adapter)).sax_parse(&events);
}

}  // namespace loru::inline LORU_ISA::io::detail
