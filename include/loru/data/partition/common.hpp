#pragma once
// The common parts of all partitions: the type, the check, and the rule that every client has a sample. Their
// bodies stand in common_bodies.hpp.

#include <cstdint>
#include <memory>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/rng.hpp>
#include <loru/data/dataset.hpp>

namespace loru::inline LORU_ISA::data {

/// Which samples of a data set each client has. A handle: copies share what it holds.
class Partition {
 public:
  /// Where the samples of clients come from. Several threads may ask it at the same time.
  class Source {
   public:
    virtual ~Source() = default;
    virtual Index clients() const = 0;
    /// How many samples the client has.
    virtual Index size(Index client) const = 0;
    /// Their numbers, ascending.
    virtual std::vector<Index> samples(Index client) const = 0;
    /// size() of the client that has fewest, and of that which has most.
    virtual Index least() const = 0;
    virtual Index most() const = 0;
  };

  /// No clients.
  Partition() = default;

  /// Client k has the samples lists[k]. Holds 4 bytes a sample and 8 a client. Throws ConfigError for a
  /// number outside [0, 2^32).
  LORU_INLINE Partition(const std::vector<std::vector<Index>>& lists);

  explicit Partition(std::shared_ptr<const Source> source) : source_{std::move(source)} {}

  Index clients() const { return source_ ? source_->clients() : 0; }
  /// How many samples the client has. Throws ConfigError for a client that there is not.
  Index size(Index client) const { return of(client).size(client); }
  /// Their numbers. Throws ConfigError for a client that there is not.
  std::vector<Index> samples(Index client) const { return of(client).samples(client); }
  /// The fewest and the most samples that a client has; 0 without clients. No work a client.
  Index least() const { return source_ ? source_->least() : 0; }
  Index most() const { return source_ ? source_->most() : 0; }

 private:
  LORU_INLINE const Source& of(Index client) const;

  std::shared_ptr<const Source> source_;
};

namespace detail {

/// Throws ConfigError for less than one client.
LORU_INLINE void check_any_clients(const char* kind, Index clients);

/// Throws ConfigError unless `clients` clients can have a sample each.
LORU_INLINE void check_clients(const char* kind, const Dataset& dataset, Index clients);

/// Each empty client in turn takes the last sample of the client that has most (the first of equals). Needs
/// at least as many samples as clients. The other clients keep all their samples. A pure function of the
/// parts.
LORU_INLINE void fill_empty(std::vector<std::vector<Index>>& parts);

/// Throws ConfigError unless the data set's targets are classes, which the partition `who` needs.
LORU_INLINE const Labels& require_labels(const char* who, const Dataset& dataset);

/// The stream of one part of a partition's draws.
inline rng::Stream partition_stream(std::uint64_t seed, std::uint32_t part, Index number = 0) {
  return rng::Stream{seed, rng::Purpose::partition, part, static_cast<std::uint32_t>(number)};
}

}  // namespace detail
}  // namespace loru::inline LORU_ISA::data

#ifndef LORU_COMPILED
#include <loru/data/partition/common_bodies.hpp>
#endif
