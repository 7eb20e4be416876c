#pragma once
// Looking characters up in the generated tables.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::data::detail {

/// The properties of a character from a table of (first code point << 8 | properties), whose first entry is
/// for 0.
inline unsigned properties_of(std::span<const std::uint32_t> table, char32_t c) {
  const auto key = static_cast<std::uint32_t>(c) << 8 | 0xFF;
  return *(std::upper_bound(table.begin(), table.end(), key) - 1) & 0xFF;
}

/// The last entry whose `first(entry)` is at most c; null if there is none.
template <class Entry, class First>
const Entry* entry_for(std::span<const Entry> table, char32_t c, const First& first) {
  const auto after = std::upper_bound(table.begin(), table.end(), c,
                                      [&](char32_t key, const Entry& entry) { return key < first(entry); });
  return after == table.begin() ? nullptr : &*(after - 1);
}

}  // namespace loru::inline LORU_ISA::data::detail
