#pragma once
// Counts of the samples and classes of each client of a partition.

#include <iosfwd>
#include <limits>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::data {

/// One client's share. distance = 1/2 sum_c |q_c - p_c|: total variation between its label distribution q and
/// that of the whole data set p; 0 for the same mix, towards 1 for labels that are rare elsewhere.
struct ClientSummary {
  Index samples = 0;
  Index classes = 0;             // classes held
  std::vector<Index> per_class;  // samples of each class
  double distance = 0.0;
};

/// Smallest, median (mean of the middle two) and largest of a quantity over the clients.
struct Range {
  double min = 0.0, median = 0.0, max = 0.0;
};

struct PartitionSummary {
  std::vector<ClientSummary> clients;
  Index of = 0;  // clients of the partition
  Range samples, classes, distance;
};

/// Counts of every client, or of the first `most`, and their ranges. Throws ConfigError for targets that are
/// no classes.
LORU_INLINE PartitionSummary describe(const Dataset& dataset, const Partition& parts,
                                      Index most = std::numeric_limits<Index>::max());

/// Three lines: samples, classes and distance a client, each min / median / max.
LORU_INLINE std::ostream& operator<<(std::ostream& out, const PartitionSummary& summary);

}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/kinds_bodies.hpp>
#endif
