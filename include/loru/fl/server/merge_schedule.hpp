#pragma once
// When a server merges its factors.

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>

#include <loru/cpu/gemm/gemm.hpp>
#include <loru/fl/algorithm.hpp>
#include <loru/linalg/norms.hpp>
#include <loru/lowrank/rank.hpp>

namespace loru::inline LORU_ISA::fl {

enum class MergeWhen : unsigned char { tau, rounds, norm, effective_rank };

namespace detail {

/// A as (r, n) and B as (m, r), in double.
template <class T, class D>
lowrank::Factors<double> factor_matrices(nn::Factored<T, D>& weight) {
  const Tensor<T> a = to_host(weight.a().value()), b = to_host(weight.b().value());
  const Index r = weight.rank();
  lowrank::Factors<double> f{Tensor<double>(Shape{r, a.size() / r}), Tensor<double>(b.shape())};
  std::copy_n(a.data(), a.size(), f.a.data());
  std::copy_n(b.data(), b.size(), f.b.data());
  return f;
}

}  // namespace detail

/// ‖s·B·A‖_F over all factored layers, √Σ s²·⟨Bᵀ·B, A·Aᵀ⟩ from products of (r, r): B·A is never formed.
template <class T, class D>
double update_norm(nn::Model<T, D>& model) {
  using cpu::gemm;
  double sum = 0.0;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T, D>& weight) {
    const auto [a, b] = detail::factor_matrices(weight);
    const Index r = a.dim(0), n = a.dim(1), m = b.dim(0);
    Tensor<double> of_b(Shape{r, r}), of_a(Shape{r, r});
    gemm<double>(Op::transpose, Op::none, r, r, m, 1.0, {b.data(), r}, {b.data(), r}, 0.0, {of_b.data(), r});
    gemm<double>(Op::none, Op::transpose, r, r, n, 1.0, {a.data(), n}, {a.data(), n}, 0.0, {of_a.data(), r});
    sum += weight.scale() * weight.scale() * std::max(linalg::dot(of_b, of_a), 0.0);
  });
  return std::sqrt(sum);
}

/// The effective rank of s·B·A (lowrank::effective_rank), mean over the factored layers; 0 if all updates are
/// zero.
template <class T, class D>
double update_effective_rank(nn::Model<T, D>& model) {
  double sum = 0.0;
  Index layers = 0;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T, D>& weight) {
    const auto [a, b] = detail::factor_matrices(weight);
    const Index k = std::min({a.dim(0), a.dim(1), b.dim(0)});
    sum += lowrank::effective_rank(linalg::product_svd(b, a, k).values);
    ++layers;
  });
  return layers > 0 ? sum / static_cast<double>(layers) : 0.0;
}

/// Which rounds end with a merge: every tau-th; those of a list; or, measuring q = update_norm or
/// update_effective_rank after each round, the first one since the last merge with q_t − q_{t−window} <
/// growth·q_{t−window}. What was measured lies in the server's memory.
struct MergeSchedule {
  MergeWhen when = MergeWhen::tau;
  Index tau = 10;
  std::vector<Index> rounds{};
  double growth = 0.05;
  Index window = 3;

  /// Whether the round that has just been folded ends with a merge. To be called once in each round.
  template <class T, class D>
  bool due(Server<T, D>& server) const {
    if (when == MergeWhen::tau) return server.round() % tau == 0;
    if (when == MergeWhen::rounds) return std::binary_search(rounds.begin(), rounds.end(), server.round());
    std::vector<double> q = measured(server.memory());
    q.push_back(when == MergeWhen::norm ? update_norm(server.model())
                                        : update_effective_rank(server.model()));
    const std::size_t past = static_cast<std::size_t>(window);
    bool stopped = false;
    if (q.size() > past) {
      const double before = q[q.size() - 1 - past];
      stopped = q.back() - before < growth * before;
      q.erase(q.begin());
    }
    if (stopped) q.clear();
    Tensor<double> kept(Shape{static_cast<Index>(q.size())});
    std::copy(q.begin(), q.end(), kept.data());
    server.memory().put(key, kept);
    return stopped;
  }

 private:
  static constexpr const char* key = "merge.measured";

  static std::vector<double> measured(const io::Archive& memory) {
    if (!memory.contains(key)) return {};
    const Tensor<double> q = memory.get<double>(key);
    return {q.data(), q.data() + q.size()};
  }
};

/// The options of an algorithm A that merges: its members tau, merge, merge_when, merge_rounds, growth and
/// window.
template <class A>
constexpr auto merge_fields() {
  using lowrank::MergeKind;
  return Fields{
      field("tau", &A::tau, range::at_least(1), "rounds between two merges"),
      field("merge", &A::merge, words<MergeKind>({{"reinit", MergeKind::reinit}, {"keep", MergeKind::keep}}),
            "what becomes of the factors after a merge"),
      field("merge_when", &A::merge_when,
            words<MergeWhen>({{"tau", MergeWhen::tau},
                              {"rounds", MergeWhen::rounds},
                              {"norm", MergeWhen::norm},
                              {"effective_rank", MergeWhen::effective_rank}}),
            "every tau rounds, in given ones, or when a measure of the update stops growing"),
      field("merge_rounds", &A::merge_rounds, Rounds{},
            "with rounds: those that end with a merge; none: never"),
      field("growth", &A::growth, range::not_negative,
            "with norm or effective_rank: merge once the measure of s·B·A grew by less than this share"),
      field("window", &A::window, range::at_least(1), "rounds over which that growth is measured")};
}

/// The schedule that the options of merge_fields() describe.
template <class A>
MergeSchedule merge_schedule(const A& a) {
  return {a.merge_when, a.tau, a.merge_rounds, a.growth, a.window};
}

/// Rounds from the last merge to this one, from 1; nothing before the first merge. Throws ConfigError for a
/// schedule that measures: its merges are not known beforehand.
inline std::optional<Index> rounds_since_merge(const MergeSchedule& schedule, Index round) {
  if (schedule.when == MergeWhen::tau)
    return round > schedule.tau ? std::optional((round - 1) % schedule.tau + 1) : std::nullopt;
  require<ConfigError>(schedule.when == MergeWhen::rounds,
                       "warmup: expected merge_when = tau or rounds, got a schedule that measures");
  const auto next = std::lower_bound(schedule.rounds.begin(), schedule.rounds.end(), round);
  return next == schedule.rounds.begin() ? std::nullopt : std::optional(round - *std::prev(next));
}

/// Merges if the options of merge_fields() say so.
template <class A, class T, class D>
void merge_if_due(const A& a, Server<T, D>& server) {
  if (merge_schedule(a).due(server)) server.merge(a.merge);
}

}  // namespace loru::inline LORU_ISA::fl
