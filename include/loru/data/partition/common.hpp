#pragma once
// The common parts of all partitions: the type, the check, and the rule that every client has a sample. Their
// bodies stand in kinds_bodies.hpp.

#include <cstdint>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/rng.hpp>
#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

/// The samples of each client, ascending. Every sample of the data set belongs to exactly one client, and
/// every client has at least one.
using Partition = std::vector<std::vector<Index>>;

namespace detail {

/// Throws ConfigError unless `clients` clients can have a sample each.
LORU_INLINE void check_clients(const char* kind, const Dataset& dataset, Index clients);

/// Each empty client in turn takes the last sample of the client that has most (the first of equals). Needs
/// at least as many samples as clients. The other clients keep all their samples. A pure function of the
/// parts.
LORU_INLINE void fill_empty(Partition& parts);

}  // namespace detail
}  // namespace loru::inline LORU_ISA::data
