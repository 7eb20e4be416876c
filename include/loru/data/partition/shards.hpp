#pragma once
// Partition: a fixed number of classes for each client.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct ShardsOptions {
  Index clients = 100;
  Index classes_per_client = 2;
  std::uint64_t seed = 1;
};

/// Each class is cut into equal shards, one for each of its holders, and each client holds
/// `classes_per_client` different classes (fewer only where a class has fewer samples than holders). After
/// McMahan et al. 2017. Their shards are cut from the sorted set without regard to the ends of classes, and
/// can give a client more classes than shards. Throws ConfigError for zero clients, more clients than
/// samples, classes_per_client outside [1, classes present], too few clients to hold every class, and targets
/// that are not classes.
LORU_INLINE Partition shards(const Dataset& dataset, const ShardsOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
