#pragma once
// Partition: any number of clients, whose samples are drawn when they are asked for.

#include <cstdint>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

/// The most samples of a client: what the weight of its update may be (fl::ExactSums).
inline constexpr Index most_virtual_samples = (Index{1} << 29) - 1;

struct VirtualOptions {
  Index clients = 100;  // up to 2^32 - 1
  Index samples = 50;   // of each client, up to most_virtual_samples
  double alpha = 0.3;   // small: few classes a client; large: all classes alike; 0: iid
  std::uint64_t seed = 1;
};

/// Client k has `samples` samples, drawn with replacement by its own stream (seed, partition, 5, k): from
/// class c with probability q_k[c], q_k ~ Dirichlet(alpha, ..., alpha) over the classes that the data set
/// has, and uniformly within the class (after Hsu et al. 2019, with a uniform prior). With alpha = 0
/// uniformly from all samples, whatever the targets. Clients may share samples, a client may have one twice,
/// and some samples may be nobody's. Nothing is stored for a client, and client k is the same whatever the
/// number of clients is. Throws ConfigError for clients outside [1, 2^32 - 1], samples outside [1, 2^29 - 1],
/// alpha < 0 or not finite, an empty data set, and alpha > 0 where targets are not classes.
LORU_INLINE Partition virtual_clients(const Dataset& dataset, const VirtualOptions& options);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/virtual_clients_bodies.hpp>
#endif
