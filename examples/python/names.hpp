#pragma once
// The table of names, and partitions by them.

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "array.hpp"

namespace loru_python {

/// A key's name, what it may be, what it is, and the algorithm that it belongs to, if it is of one.
using KeyText = std::tuple<std::string, std::string, std::string, std::string>;

/// Every key of a configuration.
std::vector<KeyText> keys();

/// The numbers of each client's samples, as a configuration in TOML divides samples of these labels. Throws
/// ConfigError, DataError.
std::vector<py::array> partition(const std::string& toml, const std::vector<std::int64_t>& labels,
                                 const std::optional<std::vector<std::int32_t>>& groups);

}  // namespace loru_python
