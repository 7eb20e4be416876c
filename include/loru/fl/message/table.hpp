#pragma once
// Whole numbers in an archive: tables as tensors, single ones as metadata. What is read is checked.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <loru/core/text.hpp>
#include <loru/io/archive.hpp>

namespace loru::inline LORU_ISA::fl {

/// Rows of whole numbers, all of one length.
using Table = std::vector<std::vector<Index>>;

/// Adds the table as an I64 tensor (rows, columns); nothing if it has no rows.
inline void put_table(io::Archive& archive, const std::string& name, const Table& rows) {
  if (rows.empty()) return;
  Tensor<std::int64_t> values(Shape{std::ssize(rows), std::ssize(rows[0])});
  std::int64_t* at = values.data();
  for (const auto& row : rows) at = std::copy(row.begin(), row.end(), at);
  archive.share(name, values);
}

/// The table of that name; no rows if there is none. Throws DataError unless it has these columns.
inline Table get_table(const io::Archive& archive, const std::string& name, Index columns) {
  if (!archive.contains(name)) return {};
  const Tensor<std::int64_t> values = archive.get<std::int64_t>(name);
  require<DataError>(values.rank() == 2 && values.dim(1) == columns, archive.origin(), ": tensor ", name,
                     ": expected ", columns, " columns, got shape ", values.shape());
  require<DataError>(columns > 0 || values.dim(0) == 0, archive.origin(), ": tensor ", name,
                     ": expected no rows of nothing, got shape ", values.shape());
  Table rows;
  for (Index i = 0; i < values.dim(0); ++i)
    rows.emplace_back(values.data() + i * columns, values.data() + (i + 1) * columns);
  return rows;
}

/// Throws DataError "<origin>: <what>: expected <least> .. <most>, got <value>" for a value out of range.
inline void require_between(const io::Archive& archive, const std::string& what, Index value, Index least,
                            Index most = std::numeric_limits<Index>::max()) {
  require<DataError>(value >= least && value <= most, archive.origin(), ": ", what, ": expected ", least,
                     " .. ", most, ", got ", value);
}

/// The text of a metadata key. Throws DataError if there is none.
inline const std::string& get_text(const io::Archive& archive, std::string_view key) {
  const auto found = archive.metadata().find(key);
  require<DataError>(found != archive.metadata().end(), archive.origin(), ": expected metadata '", key,
                     "', got none");
  return found->second;
}

/// The whole number of a metadata key. Throws DataError if there is none, or if it is out of range.
inline Index get_number(const io::Archive& archive, const std::string& key, Index least,
                        Index most = std::numeric_limits<Index>::max()) {
  const std::string& text = get_text(archive, key);
  const auto value = parse_number<Index>(text);
  require<DataError>(value.has_value(), archive.origin(), ": metadata '", key,
                     "': expected a whole number, got '", text, "'");
  require_between(archive, "metadata '" + key + "'", *value, least, most);
  return *value;
}

/// Throws DataError unless the metadata key has this text.
inline void require_text(const io::Archive& archive, const std::string& key, const std::string& expected) {
  const std::string& got = get_text(archive, key);
  require<DataError>(got == expected, archive.origin(), ": metadata '", key, "': expected '", expected,
                     "', got '", got, "'");
}

}  // namespace loru::inline LORU_ISA::fl
