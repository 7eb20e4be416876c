#pragma once
// Who takes part in a round.

#include <algorithm>
#include <cmath>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/rng.hpp>

namespace loru::inline LORU_ISA::fl {

/// `cohort` different clients of [0, clients), uniform, ascending: stream (seed, cohort, round).
/// Throws ConfigError unless 1 <= cohort <= clients.
inline std::vector<Index> sample_cohort(std::uint64_t seed, Index round, Index clients, Index cohort) {
  require<ConfigError>(clients >= 1, "federation: clients: expected at least 1, got ", clients);
  require<ConfigError>(cohort >= 1 && cohort <= clients, "federation: cohort: expected 1 .. ", clients,
                       " (the clients), got ", cohort);
  rng::Stream stream(seed, rng::Purpose::cohort, static_cast<std::uint32_t>(round));
  std::vector<Index> chosen = stream.sample(clients, cohort);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

/// The shares of a cohort that drop out of a round.
struct Drops {
  double before = 0.0, after = 0.0;

  static constexpr auto fields() {
    return Fields{field("drop_before", &Drops::before, range::share,
                        "share of the cohort that does not get its broadcast"),
                  field("drop_after", &Drops::after, range::share,
                        "share of the cohort that gets its broadcast and does not answer")};
  }
};

enum class Fate : unsigned char { answers, misses_broadcast, is_silent };

/// What becomes of a client of the cohort: stream (seed, drop, round, client).
inline Fate fate_of(const Drops& drops, std::uint64_t seed, Index round, Index client) {
  rng::Stream stream(seed, rng::Purpose::drop, static_cast<std::uint32_t>(round),
                     static_cast<std::uint32_t>(client));
  const double u = stream.uniform();
  return u < drops.before                 ? Fate::misses_broadcast
         : u < drops.before + drops.after ? Fate::is_silent
                                          : Fate::answers;
}

/// The cohort for a fraction of the clients: the nearest count, at least 1. Throws ConfigError unless
/// 0 < fraction <= 1.
inline Index cohort_size(Index clients, double fraction) {
  require<ConfigError>(fraction > 0.0 && fraction <= 1.0,
                       "federation: fraction: expected 0 < fraction <= 1, got ", fraction);
  return std::max<Index>(1, static_cast<Index>(std::llround(fraction * static_cast<double>(clients))));
}

}  // namespace loru::inline LORU_ISA::fl
