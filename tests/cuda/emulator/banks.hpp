#pragma once
// Bank conflicts of plain shared loads and stores. Shared memory has 32 banks of 4 bytes; a warp's access
// goes in groups of lanes that ask for 128 bytes in all, and takes as many turns as the busiest bank has
// different words.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "emulator/fault.hpp"

namespace loru::emulator {

/// Words (in units of 4 bytes) that one group of lanes asks for: the turns beyond the first.
inline int extra_turns(std::vector<std::uint32_t> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  std::array<int, 32> turns{};
  for (const auto word : words) ++turns[word % 32];
  return std::max(*std::max_element(turns.begin(), turns.end()), 1) - 1;
}

/// A warp's accesses since the last barrier. Lanes do not run in step here: what belongs to one access of the
/// warp is told by the line and by how often the lane has been there.
class WarpBanks {
 public:
  void add(int lane, std::uint32_t offset, int bytes, const Site& site) {
    const auto nth = visits_[static_cast<std::size_t>(lane)][{site.line, site.what}]++;
    accesses_[{site.line, site.what, nth}].push_back({lane, bytes, offset});
  }

  /// Counts what was added, and forgets it.
  std::int64_t conflicts() {
    std::int64_t sum = 0;
    for (const auto& [key, lanes] : accesses_) sum += conflicts_of(lanes);
    accesses_.clear();
    for (auto& visits : visits_) visits.clear();
    return sum;
  }

 private:
  struct Lane {
    int lane, bytes;
    std::uint32_t offset;
  };

  static std::int64_t conflicts_of(const std::vector<Lane>& lanes) {
    std::map<int, std::vector<std::uint32_t>> groups;
    for (const auto& [lane, bytes, offset] : lanes) {
      auto& words = groups[lane / (128 / std::max(bytes, 4))];
      for (auto word = offset / 4; word <= (offset + static_cast<std::uint32_t>(bytes) - 1) / 4; ++word)
        words.push_back(word);
    }
    std::int64_t sum = 0;
    for (const auto& [group, words] : groups) sum += extra_turns(words);
    return sum;
  }

  std::array<std::map<std::pair<unsigned, const char*>, int>, 32> visits_;
  std::map<std::tuple<unsigned, const char*, int>, std::vector<Lane>> accesses_;
};

}  // namespace loru::emulator
