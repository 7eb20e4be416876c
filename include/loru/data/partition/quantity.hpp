#pragma once
// Partition: clients of very different size, all with the same mix of labels.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct QuantityOptions {
  Index clients = 100;
  double skew = 1.0;  // exponent of the power law; 0: equal sizes
  std::uint64_t seed = 1;
};

/// Samples in random order; client sizes follow a power law, n_k ~ rank^-skew, at least one sample each, and
/// which client has which rank is random. Throws ConfigError for zero clients, more clients than samples,
/// skew < 0.
LORU_INLINE Partition quantity(const Dataset& dataset, const QuantityOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
