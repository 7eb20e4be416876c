#pragma once
// Byte-pair encoding: neighbours are joined, the best pair first.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA::data::detail {

/// What a pair of neighbours becomes; the smallest cost is joined first.
struct Join {
  double cost;
  std::int32_t id;
};

/// Joins neighbours until no pair joins: always the pair of the smallest cost, the leftmost of equals.
/// `join(left, right)` gives a std::optional<Join>. O(n log n) in the number of ids.
template <class F>
std::vector<std::int32_t> merge_neighbours(std::span<const std::int32_t> ids, const F& join) {
  struct Symbol {
    std::int32_t id;  // -1 once it is joined to the one before it
    std::ptrdiff_t before, after;
  };
  const auto count = static_cast<std::ptrdiff_t>(ids.size());
  std::vector<Symbol> symbols;
  symbols.reserve(ids.size());
  for (std::ptrdiff_t i = 0; i < count; ++i)
    symbols.push_back({ids[static_cast<std::size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1});
  const auto at = [&](std::ptrdiff_t i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };

  // (cost, place, left, right, result): the smallest on top; stale once left or right is another.
  using Candidate = std::tuple<double, std::ptrdiff_t, std::int32_t, std::int32_t, std::int32_t>;
  std::vector<Candidate> candidates;
  candidates.reserve(ids.size());
  std::priority_queue queue(std::greater<>{}, std::move(candidates));
  const auto propose = [&](std::ptrdiff_t left) {
    if (left < 0 || at(left).after < 0) return;
    const std::int32_t a = at(left).id, b = at(at(left).after).id;
    if (const std::optional<Join> joined = join(a, b)) queue.emplace(joined->cost, left, a, b, joined->id);
  };
  for (std::ptrdiff_t i = 0; i + 1 < count; ++i) propose(i);

  while (!queue.empty()) {
    const auto [cost, left, a, b, id] = queue.top();
    queue.pop();
    if (at(left).id != a || at(left).after < 0 || at(at(left).after).id != b) continue;
    Symbol& gone = at(at(left).after);
    gone.id = -1;
    at(left).id = id;
    at(left).after = gone.after;
    if (gone.after >= 0) at(gone.after).before = left;
    propose(at(left).before);
    propose(left);
  }

  std::vector<std::int32_t> out;
  for (std::ptrdiff_t i = 0; i >= 0 && i < count; i = at(i).after) out.push_back(at(i).id);
  return out;
}

}  // namespace loru::inline LORU_ISA::data::detail
