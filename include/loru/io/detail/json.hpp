#pragma once
// JSON by nlohmann-json: the one header of this room that includes it.

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <loru/core/error.hpp>

namespace loru::inline LORU_ISA::io::detail {

/// The value as JSON on one line. Throws DataError naming `where` if a string in it is not UTF-8.
inline std::string dump_json(const nlohmann::json& value, std::string_view where) {
  try {
    return value.dump();
  } catch (const nlohmann::json::type_error& error) {
    const std::string_view what = error.what();  // "[tag] reason"
    fail<DataError>(where, ": expected UTF-8 text, got ", what.substr(what.find(']') + 2));
  }
}

}  // namespace loru::io::detail
