#pragma once
// Bank conflicts of plain shared loads and stores. Shared memory has 32 banks of 4 bytes; a warp's access
// goes in groups of lanes that ask for 128 bytes in all, and takes as many turns as the busiest bank has
// different words.
#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "emulator/fault.hpp"

namespace loru::emulator {

/// A warp's accesses since the last barrier. Lanes do not run in step here: what belongs to one access of the
/// warp is told by the line and by how often the lane has been there.
class WarpBanks {
 public:
  void add(int lane, std::uint32_t offset, int bytes, const Site& site) {
    Place& place = this->place(site);
    const auto l = static_cast<std::size_t>(lane), nth = place.visits[l]++;
    if (nth == place.accesses.size()) place.accesses.emplace_back();
    place.accesses[nth][l] = {bytes, offset};
  }

  /// Counts what was added, and forgets it.
  std::int64_t conflicts() {
    std::int64_t sum = 0;
    for (Place& place : places_) {
      for (const Access& access : place.accesses) sum += conflicts_of(access);
      place.accesses.clear();
      place.visits.fill(0);
    }
    return sum;
  }

 private:
  struct Lane {
    int bytes = 0;  // none: the lane was not there
    std::uint32_t offset = 0;
  };
  using Access = std::array<Lane, 32>;
  struct Place {  // in the source
    unsigned line;
    const char* what;
    std::array<std::size_t, 32> visits{};
    std::vector<Access> accesses;
  };

  /// Threads stay at a place for a while, and kernels have few.
  Place& place(const Site& site) {
    const auto here = [&](const Place& p) { return p.line == site.line && p.what == site.what; };
    if (last_ < places_.size() && here(places_[last_])) return places_[last_];
    for (last_ = 0; last_ < places_.size(); ++last_)
      if (here(places_[last_])) return places_[last_];
    return places_.emplace_back(Place{site.line, site.what, {}, {}});
  }

  static int group_of(int lane, int bytes) { return lane / (128 / std::max(bytes, 4)); }

  static int conflicts_of(const Access& access) {
    int sum = 0;
    for (int group = 0; group < 4; ++group) sum += extra_turns(access, group);
    return sum;
  }

  /// The turns beyond the first that a group of lanes takes.
  static int extra_turns(const Access& access, int group) {
    std::array<std::array<std::uint32_t, 32>, 32> words;  // the different ones of each bank
    std::array<int, 32> turns{};
    int most = 1;
    for (int l = 0; l < 32; ++l) {
      const auto& [bytes, offset] = access[static_cast<std::size_t>(l)];
      if (bytes == 0 || group_of(l, bytes) != group) continue;
      for (auto word = offset / 4; word <= (offset + static_cast<std::uint32_t>(bytes) - 1) / 4; ++word) {
        auto& bank = words[word % 32];
        int& count = turns[word % 32];
        const auto end = bank.begin() + count;
        if (std::find(bank.begin(), end, word) != end) continue;
        *end = word;
        most = std::max(most, ++count);
      }
    }
    return most - 1;
  }

  std::vector<Place> places_;
  std::size_t last_ = 0;
};

}  // namespace loru::emulator
