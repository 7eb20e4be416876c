#pragma once
// Partition: label skew from a Dirichlet distribution.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct DirichletOptions {
  Index clients = 100;
  double alpha = 0.3;  // small: few classes a client; large: towards iid
  std::uint64_t seed = 1;
};

/// For each class c, p_c ~ Dirichlet(alpha, ..., alpha) over the clients, and client k gets a share p_c[k] of
/// the samples of c: the cut points are floor(n_c * (p_c[0] + ... + p_c[k])). Nothing is drawn twice or left
/// over; both classes and sizes are skewed. (Yurochkin et al., ICML 2019; "distribution-based label
/// imbalance" of Li et al., ICDE 2022. Hsu et al. 2019, the usual source of the name, draw the class mix of
/// each client instead and hold sizes equal.) The papers draw again until every client has enough samples.
/// Here an empty client takes one sample from the largest, so that the procedure ends for any alpha. Throws
/// ConfigError for zero clients, more clients than samples, alpha <= 0, targets that are not classes.
inline Partition dirichlet(const Dataset& dataset, const DirichletOptions& options) {
  detail::check_clients("dirichlet", dataset, options.clients);
  require<ConfigError>(options.alpha > 0.0 && std::isfinite(options.alpha),
                       "dirichlet: alpha: expected a positive number, got ", options.alpha);
  Partition parts(static_cast<std::size_t>(options.clients));
  const auto classes = detail::shuffled_classes("dirichlet", dataset, options.seed);
  for (std::size_t c = 0; c < classes.size(); ++c) {
    const std::vector<Index>& samples = classes[c];
    if (samples.empty()) continue;
    const auto n = static_cast<double>(samples.size());
    const std::vector<double> p = detail::partition_stream(options.seed, 2, static_cast<Index>(c))
                                      .dirichlet(options.clients, options.alpha);
    double sum = 0.0;
    std::size_t begin = 0;
    for (std::size_t k = 0; k < parts.size(); ++k) {
      sum += p[k];
      const auto share = static_cast<std::size_t>(n * sum);
      const std::size_t end =
          k + 1 == parts.size() ? samples.size() : std::clamp(share, begin, samples.size());
      for (; begin < end; ++begin) parts[k].push_back(samples[begin]);
    }
  }
  return detail::finish(std::move(parts));
}

}  // namespace loru::data
