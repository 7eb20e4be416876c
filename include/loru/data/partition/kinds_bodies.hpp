#pragma once
// Bodies of describe.hpp and of the kinds that give each sample to one client.

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <ostream>
#include <span>
#include <utility>

#include <loru/core/rng.hpp>
#include <loru/data/partition/common.hpp>
#include <loru/data/partition/describe.hpp>
#include <loru/data/partition/dirichlet.hpp>
#include <loru/data/partition/iid.hpp>
#include <loru/data/partition/natural.hpp>
#include <loru/data/partition/quantity.hpp>
#include <loru/data/partition/shards.hpp>

namespace loru::inline LORU_ISA::data {

// ---- all kinds ----

namespace detail {

using Lists = std::vector<std::vector<Index>>;

/// All samples of the data set in random order.
inline std::vector<Index> shuffled_samples(const Dataset& dataset, std::uint64_t seed) {
  std::vector<Index> order(static_cast<std::size_t>(dataset.size()));
  std::iota(order.begin(), order.end(), Index{0});
  partition_stream(seed, 0).shuffle(std::span{order});
  return order;
}

/// The samples of each class, each class in random order by a stream of its own. Throws ConfigError for other
/// targets.
inline Lists shuffled_classes(const char* kind, const Dataset& dataset, std::uint64_t seed) {
  require_labels(kind, dataset);
  Lists classes(static_cast<std::size_t>(dataset.classes));
  for (Index i = 0; i < dataset.size(); ++i) classes[static_cast<std::size_t>(dataset.label(i))].push_back(i);
  for (std::size_t c = 0; c < classes.size(); ++c)
    partition_stream(seed, 1, static_cast<Index>(c)).shuffle(std::span{classes[c]});
  return classes;
}

/// Cuts `order` into runs of the given sizes, which sum to its length.
inline Lists cut(std::span<const Index> order, std::span<const Index> sizes) {
  Lists parts;
  std::size_t begin = 0;
  for (Index size : sizes) {
    const auto run = order.subspan(begin, static_cast<std::size_t>(size));
    parts.emplace_back(run.begin(), run.end());
    begin += run.size();
  }
  return parts;
}

/// Fills empty clients and sorts each client's samples.
inline Partition finish(Lists parts) {
  fill_empty(parts);
  for (auto& part : parts) std::sort(part.begin(), part.end());
  return parts;
}

}  // namespace detail

// ---- iid.hpp ----

LORU_INLINE Partition iid(const Dataset& dataset, const IidOptions& options) {
  detail::check_clients("iid", dataset, options.clients);
  std::vector<Index> sizes;
  for (Index k = 0; k < options.clients; ++k)
    sizes.push_back(dataset.size() / options.clients + (k < dataset.size() % options.clients ? 1 : 0));
  return detail::finish(detail::cut(detail::shuffled_samples(dataset, options.seed), sizes));
}

// ---- dirichlet.hpp ----

LORU_INLINE Partition dirichlet(const Dataset& dataset, const DirichletOptions& options) {
  detail::check_clients("dirichlet", dataset, options.clients);
  require<ConfigError>(options.alpha > 0.0 && std::isfinite(options.alpha),
                       "dirichlet: alpha: expected a positive number, got ", options.alpha);
  detail::Lists parts(static_cast<std::size_t>(options.clients));
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

// ---- shards.hpp ----

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

LORU_INLINE Partition shards(const Dataset& dataset, const ShardsOptions& options) {
  detail::check_clients("shards", dataset, options.clients);
  auto classes = detail::shuffled_classes("shards", dataset, options.seed);
  std::erase_if(classes, [](const auto& samples) { return samples.empty(); });
  const auto present = static_cast<Index>(classes.size()), each = options.classes_per_client;
  require<ConfigError>(each >= 1 && each <= present, "shards: classes_per_client: expected 1 to ", present,
                       ", got ", each);
  require<ConfigError>(options.clients >= (present + each - 1) / each, "shards: clients: ", options.clients,
                       " clients of ", each, " classes cannot hold the ", present, " classes of ",
                       dataset.name);
  detail::Lists parts(static_cast<std::size_t>(options.clients));
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

// ---- quantity.hpp ----

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

LORU_INLINE Partition quantity(const Dataset& dataset, const QuantityOptions& options) {
  detail::check_clients("quantity", dataset, options.clients);
  require<ConfigError>(options.skew >= 0.0 && std::isfinite(options.skew),
                       "quantity: skew: expected a number of at least 0, got ", options.skew);
  std::vector<Index> sizes = detail::power_law_sizes(dataset.size(), options.clients, options.skew);
  detail::partition_stream(options.seed, 4).shuffle(std::span{sizes});
  return detail::finish(detail::cut(detail::shuffled_samples(dataset, options.seed), sizes));
}

// ---- natural.hpp ----

LORU_INLINE Partition natural(const Dataset& dataset, const NaturalOptions& options) {
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
  detail::Lists parts(static_cast<std::size_t>(clients));
  for (Index i = 0; i < dataset.size(); ++i) {
    const Index place = rank[dataset.groups[static_cast<std::size_t>(i)]];
    parts[static_cast<std::size_t>(place % clients)].push_back(i);
  }
  return parts;
}

// ---- describe.hpp ----

namespace detail {

inline ClientSummary describe_client(const Dataset& dataset, const std::vector<Index>& samples,
                                     const std::vector<double>& global) {
  ClientSummary client;
  client.samples = static_cast<Index>(samples.size());
  client.per_class.assign(global.size(), 0);
  for (Index i : samples) ++client.per_class[static_cast<std::size_t>(dataset.label(i))];
  for (std::size_t c = 0; c < global.size(); ++c) {
    if (client.per_class[c] > 0) ++client.classes;
    const double share = samples.empty()
                             ? 0.0
                             : static_cast<double>(client.per_class[c]) / static_cast<double>(client.samples);
    client.distance += 0.5 * std::abs(share - global[c]);
  }
  return client;
}

template <class Field>
Range range_of(const std::vector<ClientSummary>& clients, Field field) {
  std::vector<double> values;
  for (const ClientSummary& client : clients) values.push_back(static_cast<double>(client.*field));
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return {values.front(), 0.5 * (values[(n - 1) / 2] + values[n / 2]), values.back()};
}

}  // namespace detail

LORU_INLINE PartitionSummary describe(const Dataset& dataset, const Partition& parts, Index most) {
  detail::require_labels("describe", dataset);
  std::vector<double> global(static_cast<std::size_t>(dataset.classes), 0.0);
  for (Index i = 0; i < dataset.size(); ++i)
    global[static_cast<std::size_t>(dataset.label(i))] += 1.0 / static_cast<double>(dataset.size());
  PartitionSummary summary;
  summary.of = parts.clients();
  for (Index k = 0; k < std::min(most, parts.clients()); ++k)
    summary.clients.push_back(detail::describe_client(dataset, parts.samples(k), global));
  summary.samples = detail::range_of(summary.clients, &ClientSummary::samples);
  summary.classes = detail::range_of(summary.clients, &ClientSummary::classes);
  summary.distance = detail::range_of(summary.clients, &ClientSummary::distance);
  return summary;
}

LORU_INLINE std::ostream& operator<<(std::ostream& out, const PartitionSummary& summary) {
  const auto line = [&](const char* what, const Range& r) {
    out << what << "  min " << r.min << "  median " << r.median << "  max " << r.max << '\n';
  };
  out << summary.of << " clients";
  if (std::ssize(summary.clients) < summary.of)
    out << ", the first " << summary.clients.size() << " of them counted";
  out << '\n';
  line("samples a client  ", summary.samples);
  line("classes a client  ", summary.classes);
  line("label distance    ", summary.distance);
  return out;
}

}  // namespace loru::inline LORU_ISA::data
