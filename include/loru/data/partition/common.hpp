#pragma once
// The common parts of all partitions: the type, the checks, and the rule that every client has a sample.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <queue>
#include <span>
#include <utility>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

/// The samples of each client, ascending. Every sample of the data set belongs to exactly one client, and
/// every client has at least one.
using Partition = std::vector<std::vector<Index>>;

namespace detail {

/// Throws ConfigError unless `clients` clients can have a sample each.
inline void check_clients(const char* kind, const Dataset& dataset, Index clients) {
  require<ConfigError>(clients >= 1, kind, ": clients: expected at least 1, got ", clients);
  require<ConfigError>(clients <= dataset.size(), kind, ": clients: ", clients, " exceed the ",
                       dataset.size(), " samples of ", dataset.name);
}

/// The stream of one part of a partition's draws.
inline rng::Stream partition_stream(std::uint64_t seed, std::uint32_t part, Index number = 0) {
  return rng::Stream{seed, rng::Purpose::partition, part, static_cast<std::uint32_t>(number)};
}

/// All samples of the data set in random order.
inline std::vector<Index> shuffled_samples(const Dataset& dataset, std::uint64_t seed) {
  std::vector<Index> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), Index{0});
  partition_stream(seed, 0).shuffle(std::span{order});
  return order;
}

/// Throws ConfigError unless the data set's targets are classes, which the partition `who` needs.
inline const Labels& require_labels(const char* who, const Dataset& dataset) {
  const auto* labels = std::get_if<Labels>(&dataset.targets);
  require<ConfigError>(labels, who, ": ", dataset.name, ": expected classes as targets, got ",
                       kind_of(dataset.targets));
  return *labels;
}

/// The samples of each class, each class in random order by a stream of its own. Throws ConfigError for other
/// targets.
inline std::vector<std::vector<Index>> shuffled_classes(const char* kind, const Dataset& dataset,
                                                        std::uint64_t seed) {
  require_labels(kind, dataset);
  std::vector<std::vector<Index>> classes(static_cast<std::size_t>(dataset.classes));
  for (Index i = 0; i < dataset.size(); ++i) classes[static_cast<std::size_t>(dataset.label(i))].push_back(i);
  for (std::size_t c = 0; c < classes.size(); ++c)
    partition_stream(seed, 1, static_cast<Index>(c)).shuffle(std::span{classes[c]});
  return classes;
}

/// Cuts `order` into runs of the given sizes, which sum to its length.
inline Partition cut(std::span<const Index> order, std::span<const Index> sizes) {
  Partition parts;
  std::size_t begin = 0;
  for (Index size : sizes) {
    const auto run = order.subspan(begin, static_cast<std::size_t>(size));
    parts.emplace_back(run.begin(), run.end());
    begin += run.size();
  }
  return parts;
}

/// Each empty client in turn takes the last sample of the client that has most (the first of equals). Needs
/// at least as many samples as clients. The other clients keep all their samples. A pure function of the
/// parts.
inline void fill_empty(Partition& parts) {
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

/// Fills empty clients and sorts each client's samples.
inline Partition finish(Partition parts) {
  fill_empty(parts);
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

}  // namespace detail
}  // namespace loru::data
