#pragma once
// Bodies of partition.hpp: partitions by their names.

#include <loru/core/text.hpp>
#include <loru/data/partition/partition.hpp>

namespace loru::inline LORU_ISA::data {

namespace detail {

struct Partitioner {
  std::string kind;
  Partition (*make)(const Dataset&, const PartitionOptions&);
};

/// The one list of partitions.
inline const std::vector<Partitioner>& partitioners() {
  using Options = PartitionOptions;
  static const std::vector<Partitioner> list = {
      {"iid", [](const Dataset& d, const Options& o) { return iid(d, {o.clients, o.seed}); }},
      {"dirichlet",
       [](const Dataset& d, const Options& o) { return dirichlet(d, {o.clients, o.alpha, o.seed}); }},
      {"shards", [](const Dataset& d,
                    const Options& o) { return shards(d, {o.clients, o.classes_per_client, o.seed}); }},
      {"quantity",
       [](const Dataset& d, const Options& o) { return quantity(d, {o.clients, o.skew, o.seed}); }},
      {"natural",
       [](const Dataset& d, const Options& o) {
         check_clients("natural", d, o.clients);
         return natural(d, {o.clients});
       }},
      {"virtual",
       [](const Dataset& d, const Options& o) {
         return virtual_clients(d, {o.clients, o.samples, o.alpha, o.seed});
       }},
  };
  return list;
}

}  // namespace detail

LORU_INLINE std::vector<std::string> partition_kinds() {
  std::vector<std::string> kinds;
  for (const auto& entry : detail::partitioners()) kinds.push_back(entry.kind);
  return kinds;
}

LORU_INLINE Partition partition(const Dataset& dataset, const PartitionOptions& options) {
  for (const auto& entry : detail::partitioners())
    if (entry.kind == options.kind) return entry.make(dataset, options);
  fail<ConfigError>("partition: kind: unknown \"", options.kind, "\", nearest is \"",
                    nearest(options.kind, partition_kinds()), "\"");
}

}  // namespace loru::inline LORU_ISA::data
