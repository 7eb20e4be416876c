#pragma once
// Partition: label skew from a Dirichlet distribution.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

struct DirichletOptions {
  Index clients = 100;
  double alpha = 0.3;  // small: few classes a client; large: towards iid
  std::uint64_t seed = 1;
};

/// For each class c, p_c ~ Dirichlet(alpha, ..., alpha) over the clients, and client k gets a share p_c[k] of
/// the samples of c: the cut points are floor(n_c * (p_c[0] + ... + p_c[k])). Nothing is drawn twice or left
/// over; both classes and sizes are skewed. (Yurochkin et al., ICML 2019; "distribution-based label
/// imbalance" of Li et al., ICDE 2022. Hsu et al. 2019, the usual source of the name, draw the class mix of
/// each client instead and hold sizes equal.) The papers draw again until every client has enough samples.
/// Here an empty client takes one sample from the largest, so that the procedure ends for any alpha. Throws
/// ConfigError for zero clients, more clients than samples, alpha <= 0, targets that are not classes.
LORU_INLINE Partition dirichlet(const Dataset& dataset, const DirichletOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
