#pragma once
// Partition: independent and identically distributed.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct IidOptions {
  Index clients = 100;
  std::uint64_t seed = 1;
};

/// All samples in random order, cut into runs whose lengths differ by at most one. Throws ConfigError.
LORU_INLINE Partition iid(const Dataset& dataset, const IidOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
