#pragma once
// All partitions (which client has which samples), and any of them by its name in a configuration.

#include <cstdint>
#include <string>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/text.hpp>
#include <loru/data/partition/common.hpp>
#include <loru/data/partition/describe.hpp>
#include <loru/data/partition/dirichlet.hpp>
#include <loru/data/partition/iid.hpp>
#include <loru/data/partition/natural.hpp>
#include <loru/data/partition/quantity.hpp>
#include <loru/data/partition/shards.hpp>

namespace loru::inline LORU_ISA::data {

std::vector<std::string> partition_kinds();

/// A partition by name. Fields that a kind does not know are ignored.
struct PartitionOptions {
  std::string kind = "iid";
  Index clients = 100;
  double alpha = 0.3;            // "dirichlet"
  Index classes_per_client = 2;  // "shards"
  double skew = 1.0;             // "quantity"
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using P = PartitionOptions;
    return Fields{
        field("kind", &P::kind, Names{&partition_kinds}, "how samples are divided among clients"),
        field("alpha", &P::alpha, range::positive,
              "of dirichlet: small for few classes a client, large towards iid"),
        field("classes_per_client", &P::classes_per_client, range::at_least(1),
              "of shards: classes of a client"),
        field("skew", &P::skew, range::not_negative,
              "of quantity: exponent of the power law of sizes, 0 for equal ones")};
  }
};

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
  };
  return list;
}

}  // namespace detail

/// Names that partition knows.
inline std::vector<std::string> partition_kinds() {
  std::vector<std::string> kinds;
  for (const auto& entry : detail::partitioners()) kinds.push_back(entry.kind);
  return kinds;
}

/// Divides a data set among clients. Throws ConfigError for an unknown kind, naming the nearest, and as the
/// kind does.
inline Partition partition(const Dataset& dataset, const PartitionOptions& options) {
  for (const auto& entry : detail::partitioners())
    if (entry.kind == options.kind) return entry.make(dataset, options);
  fail<ConfigError>("partition: kind: unknown \"", options.kind, "\", nearest is \"",
                    nearest(options.kind, partition_kinds()), "\"");
}

}  // namespace loru::inline LORU_ISA::data
