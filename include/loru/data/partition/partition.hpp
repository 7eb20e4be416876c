#pragma once
// All partitions (which client has which samples), and any of them by its name in a configuration.

#include <cstdint>
#include <string>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/fields.hpp>
#include <loru/data/partition/common.hpp>
#include <loru/data/partition/describe.hpp>
#include <loru/data/partition/dirichlet.hpp>
#include <loru/data/partition/iid.hpp>
#include <loru/data/partition/natural.hpp>
#include <loru/data/partition/quantity.hpp>
#include <loru/data/partition/shards.hpp>
#include <loru/data/partition/virtual_clients.hpp>

namespace loru::inline LORU_ISA::data {

/// Names that partition knows.
LORU_INLINE std::vector<std::string> partition_kinds();

/// A partition by name. Fields that a kind does not know are ignored.
struct PartitionOptions {
  std::string kind = "iid";
  Index clients = 100;
  double alpha = 0.3;            // "dirichlet", "virtual"
  Index classes_per_client = 2;  // "shards"
  double skew = 1.0;             // "quantity"
  Index samples = 50;            // "virtual"
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using P = PartitionOptions;
    return Fields{field("kind", &P::kind, Names{&partition_kinds}, "how samples are divided among clients"),
                  field("alpha", &P::alpha, range::not_negative,
                        "of dirichlet and virtual: small for few classes a client, large towards iid; of "
                        "virtual 0 for iid"),
                  field("classes_per_client", &P::classes_per_client, range::at_least(1),
                        "of shards: classes of a client"),
                  field("skew", &P::skew, range::not_negative,
                        "of quantity: exponent of the power law of sizes, 0 for equal ones"),
                  field("samples", &P::samples, range::between(1, most_virtual_samples),
                        "of virtual: samples of a client, drawn with replacement")};
  }
};

/// Divides a data set among clients. Throws ConfigError for an unknown kind, naming the nearest, and as the
/// kind does.
LORU_INLINE Partition partition(const Dataset& dataset, const PartitionOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/partition_bodies.hpp>
#endif
