#pragma once
// Partition: the clients that the data came from.

#include <cstddef>
#include <cstdint>
#include <map>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct NaturalOptions {
  Index clients = 0;  // 0: one for each group
};

/// A client for each group (a writer, a speaker), in ascending order of the group's number. With fewer
/// clients than groups the groups are dealt round robin: client k gets groups k, k + clients, ... Throws
/// ConfigError if the data set has no groups or fewer groups than clients.
inline Partition natural(const Dataset& dataset, const NaturalOptions& options = {}) {
  require<ConfigError>(!dataset.groups.empty(), "natural: ", dataset.name,
                       " names no natural clients (groups)");
  std::map<std::int32_t, Index> rank;  // group -> its place among the groups
  for (std::int32_t group : dataset.groups) rank.emplace(group, 0);
  Index groups = 0;
  for (auto& [group, place] : rank) place = groups++;
  require<ConfigError>(options.clients >= 0,
                       "natural: clients: expected at least 1, or 0 for one a group, got ", options.clients);
  require<ConfigError>(options.clients <= groups, "natural: clients: ", options.clients, " exceed the ",
                       groups, " groups of ", dataset.name);
  const Index clients = options.clients == 0 ? groups : options.clients;
  Partition parts(static_cast<std::size_t>(clients));
  for (Index i = 0; i < dataset.size(); ++i) {
    const Index place = rank[dataset.groups[static_cast<std::size_t>(i)]];
    parts[static_cast<std::size_t>(place % clients)].push_back(i);
  }
  return parts;
}

}  // namespace loru::data
