#pragma once
// Counts of the samples and classes of each client of a partition.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <ostream>
#include <vector>

#include <loru/core/shape.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

/// One client's share. distance = 1/2 sum_c |q_c - p_c|: total variation between its label distribution q and
/// that of the whole data set p; 0 for the same mix, towards 1 for labels that are rare elsewhere.
struct ClientSummary {
  Index samples = 0;
  Index classes = 0;             // classes held
  std::vector<Index> per_class;  // samples of each class
  double distance = 0.0;
};

/// Smallest, median (mean of the middle two) and largest of a quantity over the clients.
struct Range {
  double min = 0.0, median = 0.0, max = 0.0;
};

struct PartitionSummary {
  std::vector<ClientSummary> clients;
  Range samples, classes, distance;
};

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

/// Counts of every client and their ranges. Throws ConfigError for targets that are no classes.
inline PartitionSummary describe(const Dataset& dataset, const Partition& parts) {
  detail::require_labels("describe", dataset);
  std::vector<double> global(static_cast<std::size_t>(dataset.classes), 0.0);
  for (Index i = 0; i < dataset.size(); ++i)
    global[static_cast<std::size_t>(dataset.label(i))] += 1.0 / static_cast<double>(dataset.size());
  PartitionSummary summary;
  for (const auto& samples : parts)
    summary.clients.push_back(detail::describe_client(dataset, samples, global));
  summary.samples = detail::range_of(summary.clients, &ClientSummary::samples);
  summary.classes = detail::range_of(summary.clients, &ClientSummary::classes);
  summary.distance = detail::range_of(summary.clients, &ClientSummary::distance);
  return summary;
}

/// Three lines: samples, classes and distance a client, each min / median / max.
inline std::ostream& operator<<(std::ostream& out, const PartitionSummary& summary) {
  const auto line = [&](const char* what, const Range& r) {
    out << what << "  min " << r.min << "  median " << r.median << "  max " << r.max << '\n';
  };
  out << summary.clients.size() << " clients\n";
  line("samples a client  ", summary.samples);
  line("classes a client  ", summary.classes);
  line("label distance    ", summary.distance);
  return out;
}

}  // namespace loru::data
