#pragma once
// Bodies of common.hpp.

#include <algorithm>
#include <queue>
#include <utility>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

/// Lists of samples, one after the other.
class ListedSamples final : public Partition::Source {
 public:
  explicit ListedSamples(const std::vector<std::vector<Index>>& lists) {
    for (const std::vector<Index>& list : lists) {
      for (const Index sample : list) {
        require<ConfigError>(sample >= 0 && sample <= 0xffffffff,
                             "partition: expected samples in 0 .. 2^32 - 1, got ", sample);
        samples_.push_back(static_cast<std::uint32_t>(sample));
      }
      ends_.push_back(std::ssize(samples_));
      least_ = ends_.size() == 1 ? std::ssize(list) : std::min(least_, std::ssize(list));
      most_ = std::max(most_, std::ssize(list));
    }
    samples_.shrink_to_fit();
  }

  Index clients() const override { return std::ssize(ends_); }
  Index size(Index client) const override { return end(client) - end(client - 1); }
  std::vector<Index> samples(Index client) const override {
    return {samples_.begin() + end(client - 1), samples_.begin() + end(client)};
  }
  Index least() const override { return least_; }
  Index most() const override { return most_; }

 private:
  Index end(Index client) const { return client < 0 ? 0 : ends_[static_cast<std::size_t>(client)]; }

  std::vector<std::uint32_t> samples_;  // of all clients
  std::vector<Index> ends_;             // where the samples of each end
  Index least_ = 0, most_ = 0;
};

LORU_INLINE void check_any_clients(const char* kind, Index clients) {
  require<ConfigError>(clients >= 1, kind, ": clients: expected at least 1, got ", clients);
}

LORU_INLINE void check_clients(const char* kind, const Dataset& dataset, Index clients) {
  check_any_clients(kind, clients);
  require<ConfigError>(clients <= dataset.size(), "partition: ", kind, ": expected at most ", dataset.size(),
                       " clients, one for each sample, got ", clients,
                       " (kind \"virtual\" draws samples for any number)");
}

LORU_INLINE void fill_empty(std::vector<std::vector<Index>>& parts) {
  using Entry =
      std::pair<std::size_t, std::ptrdiff_t>;  // samples, -client: the largest first, then the first
  std::priority_queue<Entry> largest;
  for (std::size_t k = 0; k < parts.size(); ++k)
    if (parts[k].size() > 1) largest.emplace(parts[k].size(), -static_cast<std::ptrdiff_t>(k));
  for (auto& part : parts) {
    if (!part.empty()) continue;
    const auto donor = static_cast<std::size_t>(-largest.top().second);
    largest.pop();
    part.push_back(parts[donor].back());
    parts[donor].pop_back();
    if (parts[donor].size() > 1) largest.emplace(parts[donor].size(), -static_cast<std::ptrdiff_t>(donor));
  }
}

LORU_INLINE const Labels& require_labels(const char* who, const Dataset& dataset) {
  const auto* labels = std::get_if<Labels>(&dataset.targets);
  require<ConfigError>(labels, who, ": ", dataset.name, ": expected classes as targets, got ",
                       kind_of(dataset.targets));
  return *labels;
}

}  // namespace detail

LORU_INLINE Partition::Partition(const std::vector<std::vector<Index>>& lists)
    : source_{std::make_shared<detail::ListedSamples>(lists)} {}

LORU_INLINE const Partition::Source& Partition::of(Index client) const {
  require<ConfigError>(client >= 0 && client < clients(), "partition: expected a client in 0 .. ",
                       clients() - 1, ", got ", client);
  return *source_;
}

}  // namespace loru::inline LORU_ISA::data
