#pragma once
// Ranks that clients can afford.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/core/rng.hpp>
#include <loru/data/partition/common.hpp>

namespace loru::inline LORU_ISA::fl {

/// How clients come to their rank budgets.
enum class RankRule : unsigned char {
  same,   ///< every client has the layers' own ranks
  fixed,  ///< client k has values[k mod count]
  tiers,  ///< client k is drawn into a tier by the shares: stream (seed, ranks, 0, k)
  data,   ///< clients in the order of their samples: the first share of them, with the fewest, has values[0]
};

struct RankOptions {
  RankRule rule = RankRule::same;
  std::vector<Index> values{};
  /// Of each value, summing to one. Empty: equal. Used by tiers and data.
  std::vector<double> shares{};

  static constexpr auto fields() {
    using R = RankOptions;
    return Fields{
        field("rule", &R::rule,
              words<RankRule>({{"same", RankRule::same},
                               {"fixed", RankRule::fixed},
                               {"tiers", RankRule::tiers},
                               {"data", RankRule::data}}),
              "how clients come to ranks r_k of their own, in a layer min(r_k, its rank); not for fedpara"),
        field("values", &R::values, Each{range::at_least(1)},
              "fixed: client k has the (k mod count)-th; tiers: drawn by the shares; data: the first share "
              "of the "
              "clients, those with the fewest samples, has the first"),
        field("shares", &R::shares, Each{range::not_negative},
              "of the clients, a number for each value, with sum 1; none: equal")};
  }
};

/// The rank budget r_k of every client. A client's rank in a layer is min(r_k, the layer's), and s_k = alpha
/// / that. Where all have the layers' own ranks nothing is held for a client.
class ClientRanks {
 public:
  /// Every client has the layers' own ranks.
  ClientRanks() = default;

  /// Client k has budgets[k]. Throws ConfigError for a budget below 1.
  explicit ClientRanks(std::vector<Index> budgets) : budgets_{std::move(budgets)} {
    for (const Index budget : budgets_)
      require<ConfigError>(budget >= 1, "ranks: values: expected at least 1, got ", budget);
  }

  /// By rule, for the clients of a partition. Throws ConfigError for options that make no sense.
  ClientRanks(const RankOptions& o, const data::Partition& parts, std::uint64_t seed);

  /// The client's ranks in layers of these ranks. Throws ConfigError for a client without a budget.
  std::vector<Index> of(Index client, std::vector<Index> layers) const {
    if (budgets_.empty()) return layers;
    require<ConfigError>(client >= 0 && client < static_cast<Index>(budgets_.size()),
                         "ranks: expected a client in 0 .. ", budgets_.size() - 1, ", got ", client);
    for (Index& rank : layers) rank = std::min(rank, budgets_[static_cast<std::size_t>(client)]);
    return layers;
  }

  /// The clients that have budgets; 0 where all have the layers' own ranks.
  Index clients() const { return static_cast<Index>(budgets_.size()); }

  /// Whether some client has less than a layer's rank.
  bool mixed(const std::vector<Index>& layers) const {
    return std::any_of(budgets_.begin(), budgets_.end(), [&](Index budget) {
      return std::any_of(layers.begin(), layers.end(), [&](Index rank) { return budget < rank; });
    });
  }

 private:
  std::vector<Index> budgets_;
};

namespace detail {

inline void check(const RankOptions& o) {
  check_fields(o, "ranks");
  require<ConfigError>(!o.values.empty(), "ranks: values: expected at least one rank for each rule but same");
  require<ConfigError>(o.shares.empty() || o.shares.size() == o.values.size(), "ranks: shares: expected ",
                       o.values.size(), " shares, one for each of the values, got ", o.shares.size());
  double sum = 0.0;
  for (const double share : o.shares) sum += share;
  require<ConfigError>(o.shares.empty() || std::abs(sum - 1.0) < 1e-6,
                       "ranks: shares: expected a sum of 1, got ", sum);
}

/// The value in whose share of [0, 1) the point lies.
inline Index value_at(const RankOptions& o, double point) {
  double end = 0.0;
  for (std::size_t i = 0; i + 1 < o.values.size(); ++i) {
    end += o.shares.empty() ? 1.0 / static_cast<double>(o.values.size()) : o.shares[i];
    if (point < end) return o.values[i];
  }
  return o.values.back();
}

}  // namespace detail

inline ClientRanks::ClientRanks(const RankOptions& o, const data::Partition& parts, std::uint64_t seed) {
  if (o.rule == RankRule::same) return;
  detail::check(o);
  const auto clients = static_cast<std::size_t>(parts.clients());
  std::vector<Index> budgets(clients), order(clients);
  std::iota(order.begin(), order.end(), Index{0});
  const auto key = [&](Index i) { return std::pair(parts.size(i), i); };
  if (o.rule == RankRule::data)
    std::sort(order.begin(), order.end(), [&](Index i, Index j) { return key(i) < key(j); });
  for (std::size_t i = 0; i < budgets.size(); ++i) {
    const auto client = static_cast<std::size_t>(order[i]);
    if (o.rule == RankRule::fixed) budgets[client] = o.values[client % o.values.size()];
    if (o.rule == RankRule::tiers) {
      rng::Stream stream(seed, rng::Purpose::ranks, 0, static_cast<std::uint32_t>(client));
      budgets[client] = detail::value_at(o, stream.uniform());
    }
    if (o.rule == RankRule::data)
      budgets[client] =
          detail::value_at(o, (static_cast<double>(i) + 0.5) / static_cast<double>(budgets.size()));
  }
  *this = ClientRanks(std::move(budgets));
}

}  // namespace loru::inline LORU_ISA::fl
