#pragma once
// Partition: the clients that the data came from.

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct NaturalOptions {
  Index clients = 0;  // 0: one for each group
};

/// A client for each group (a writer, a speaker), in ascending order of the group's number. With fewer
/// clients than groups the groups are dealt round robin: client k gets groups k, k + clients, ... Throws
/// ConfigError if the data set has no groups or fewer groups than clients.
LORU_INLINE Partition natural(const Dataset& dataset, const NaturalOptions& options = {});

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
