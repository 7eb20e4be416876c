#pragma once
// Partition: a fixed number of classes for each client.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct ShardsOptions {
  Index clients = 100;
  Index classes_per_client = 2;
  std::uint64_t seed = 1;
};

namespace detail {

/// holders[c]: the clients that hold class `present[c]`. Clients choose in turn, each the k classes with the
/// fewest holders so far, ties broken by its own random order: holders of any two classes differ by at most
/// one.
inline std::vector<std::vector<std::size_t>> deal_classes(std::size_t present, const ShardsOptions& options) {
  std::vector<std::vector<std::size_t>> holders(present);
  std::vector<std::size_t> order(present);
  for (Index k = 0; k < options.clients; ++k) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    partition_stream(options.seed, 3, k).shuffle(std::span{order});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return holders[a].size() < holders[b].size(); });
    for (Index i = 0; i < options.classes_per_client; ++i)
      holders[order[static_cast<std::size_t>(i)]].push_back(static_cast<std::size_t>(k));
  }
  return holders;
}

}  // namespace detail

/// Each class is cut into equal shards, one for each of its holders, and each client holds
/// `classes_per_client` different classes (fewer only where a class has fewer samples than holders). After
/// McMahan et al. 2017. Their shards are cut from the sorted set without regard to the ends of classes, and
/// can give a client more classes than shards. Throws ConfigError for zero clients, more clients than
/// samples, classes_per_client outside [1, classes present], too few clients to hold every class, and targets
/// that are not classes.
inline Partition shards(const Dataset& dataset, const ShardsOptions& options) {
  detail::check_clients("shards", dataset, options.clients);
  auto classes = detail::shuffled_classes("shards", dataset, options.seed);
  std::erase_if(classes, [](const auto& samples) { return samples.empty(); });
  const auto present = static_cast<Index>(classes.size()), each = options.classes_per_client;
  require<ConfigError>(each >= 1 && each <= present, "shards: classes_per_client: expected 1 to ", present,
                       ", got ", each);
  require<ConfigError>(options.clients >= (present + each - 1) / each, "shards: clients: ", options.clients,
                       " clients of ", each, " classes cannot hold the ", present, " classes of ",
                       dataset.name);
  Partition parts(static_cast<std::size_t>(options.clients));
  const auto holders = detail::deal_classes(classes.size(), options);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const std::size_t n = classes[c].size(), shares = holders[c].size();
    std::size_t begin = 0;
    for (std::size_t s = 0; s < shares; ++s) {
      const std::size_t end = begin + n / shares + (s < n % shares ? 1 : 0);
      for (; begin < end; ++begin) parts[holders[c][s]].push_back(classes[c][begin]);
    }
  }
  return detail::finish(std::move(parts));
}

}  // namespace loru::inline LORU_ISA::data
