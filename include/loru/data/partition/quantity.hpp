#pragma once
// Partition: clients of very different size, all with the same mix of labels.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct QuantityOptions {
  Index clients = 100;
  double skew = 1.0;  // exponent of the power law; 0: equal sizes
  std::uint64_t seed = 1;
};

namespace detail {

/// Sizes by rank: one sample each, and a share of the rest in proportion to (rank + 1)^-skew. Cut points are
/// rounded down.
inline std::vector<Index> power_law_sizes(Index samples, Index clients, double skew) {
  double total = 0.0;
  for (Index k = 0; k < clients; ++k) total += std::pow(static_cast<double>(k + 1), -skew);
  const Index rest = samples - clients;
  std::vector<Index> sizes;
  double sum = 0.0;
  Index begin = 0;
  for (Index k = 0; k < clients; ++k) {
    sum += std::pow(static_cast<double>(k + 1), -skew);
    const auto share = static_cast<Index>(static_cast<double>(rest) * (sum / total));
    const Index end = k + 1 == clients ? rest : std::clamp(share, begin, rest);
    sizes.push_back(1 + end - begin);
    begin = end;
  }
  return sizes;
}

}  // namespace detail

/// Samples in random order; client sizes follow a power law, n_k ~ rank^-skew, at least one sample each, and
/// which client has which rank is random. Throws ConfigError for zero clients, more clients than samples,
/// skew < 0.
inline Partition quantity(const Dataset& dataset, const QuantityOptions& options) {
  detail::check_clients("quantity", dataset, options.clients);
  require<ConfigError>(options.skew >= 0.0 && std::isfinite(options.skew),
                       "quantity: skew: expected a number of at least 0, got ", options.skew);
  std::vector<Index> sizes = detail::power_law_sizes(dataset.size(), options.clients, options.skew);
  detail::partition_stream(options.seed, 4).shuffle(std::span{sizes});
  return detail::finish(detail::cut(detail::shuffled_samples(dataset, options.seed), sizes));
}

}  // namespace loru::data
