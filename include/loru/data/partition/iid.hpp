#pragma once
// Partition: independent and identically distributed.

#include <cstddef>
#include <cstdint>
#include <vector>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct IidOptions {
  Index clients = 100;
  std::uint64_t seed = 1;
};

/// All samples in random order, cut into runs whose lengths differ by at most one. Throws ConfigError.
inline Partition iid(const Dataset& dataset, const IidOptions& options) {
  detail::check_clients("iid", dataset, options.clients);
  std::vector<Index> sizes;
  for (Index k = 0; k < options.clients; ++k)
    sizes.push_back(dataset.size() / options.clients + (k < dataset.size() % options.clients ? 1 : 0));
  return detail::finish(detail::cut(detail::shuffled_samples(dataset, options.seed), sizes));
}

}  // namespace loru::data
