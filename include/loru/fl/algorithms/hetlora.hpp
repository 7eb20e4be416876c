#pragma once
// Factors of clients of different ranks, zero-padded and weighted by what they changed.

#include <algorithm>

#include <loru/fl/client/train.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/lowrank/tail.hpp>

namespace loru::inline LORU_ISA::fl {

/// Client k gets the leading r_k directions of A and B. The server pads with zeros and averages, layer by
/// layer: A ← Σ w_k·A_k, B ← Σ w_k·B_k with w_k = ‖B_k·A_k‖_F / Σ ‖B_j·A_j‖_F, equal where all are zero; all
/// else by samples. ‖B_k·A_k‖_F counts as at most norm_limit times the median of those of the cohort above 0,
/// so that of n clients one that scales its factors weighs at most L / (L + n/2 − 1), L = norm_limit; its
/// values are not limited by that. With gamma < 1 clients prune themselves: with q = ⌊gamma·r_k⌋, at least 1,
/// they minimise their loss + lambda·‖B_k[:, q:]‖_F·‖A_k[q:, :]‖_F, and a layer in which that product of
/// norms is smaller after training than before is cut to rank q for good. Source: Cho et al. (HetLoRA), arXiv
/// 2401.06432, without norm_limit.
struct HetLoRA {
  double gamma = 1.0, lambda = 0.0, norm_limit = 10.0;

  static constexpr std::string_view name = "hetlora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::broadcast, hook::train, hook::kept_ranks, hook::fold, trait::mixed_ranks,
                      trait::ranks_return>;
  static constexpr auto fields() {
    return Fields{field("gamma", &HetLoRA::gamma, range::share,
                        "share of its rank that a client may prune itself to; 1 prunes nothing"),
                  field("lambda", &HetLoRA::lambda, range::not_negative,
                        "weight of the norms of the directions that may go"),
                  field("norm_limit", &HetLoRA::norm_limit, Range<double>{1.0, Range<double>::largest},
                        "a client's norm counts as at most so many times the cohort's median")};
  }

  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, std::span<const Index> ranks) const {
    put_state(archive, server.model(), not_factor);
    put_leading(archive, server.model(), ranks, [](double, double) { return 1.0; });
  }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    if (gamma == 1.0) return fl::train(turn);
    std::vector<lowrank::Tail<T, D>> tails;
    lowrank::for_each_weight<nn::Factored>(turn.model, [&](const std::string&, auto& weight) {
      const auto kept = static_cast<Index>(gamma * static_cast<double>(weight.rank()));
      tails.push_back({weight.a(), weight.b(), std::max<Index>(1, kept)});
    });
    std::vector<double> before;
    for (const auto& tail : tails) before.push_back(tail.norm());
    const double loss = fl::train(turn, [&](std::vector<Variable<T, D>>&) {
      for (const auto& tail : tails) tail.add_gradient(lambda);
    });
    lowrank::for_each_weight<nn::Factored>(turn.model, [&, i = std::size_t{0}](auto&, auto& weight) mutable {
      if (tails[i].norm() < before[i]) weight.set_factors(tails[i].head().a, tails[i].head().b);
      ++i;
    });
    return loss;
  }

  template <class T, class D>
  std::vector<Index> kept_ranks(nn::Model<T, D>& model, const io::Archive& update,
                                std::vector<Index> sent) const {
    return sent_ranks(model, update, std::move(sent));
  }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    get_state(cohort.mean, server.model(), not_factor);
    std::vector<std::vector<Index>> ranks(cohort.updates.size());
    io::Archive factors("aggregate");
    lowrank::for_each_weight<nn::Factored>(server.model(), [&](const std::string& layer, auto& weight) {
      auto all = terms(cohort, layer, weight);
      weigh(all);
      const lowrank::Factors<T> mean = lowrank::padded_mean(all, weight.rank());
      factors.share(nn::factor_name(layer, nn::Role::down), mean.a);
      factors.share(nn::factor_name(layer, nn::Role::up), mean.b);
      for (std::size_t k = 0; k < all.size(); ++k) ranks[k].push_back(all[k].a.dim(0));
    });
    get_state(server.optimized(factors), server.model(), is_factor);
    for (std::size_t k = 0; k < ranks.size(); ++k) server.set_ranks(cohort.updates[k].head.client, ranks[k]);
  }

 private:
  /// w_k of every term.
  template <class T>
  void weigh(std::vector<lowrank::Term<T>>& all) const {
    std::vector<double> norms;
    for (auto& term : all) {
      term.weight = lowrank::product_norm(term.a, term.b);
      if (term.weight > 0.0) norms.push_back(term.weight);
    }
    const auto middle = norms.begin() + std::ssize(norms) / 2;
    std::nth_element(norms.begin(), middle, norms.end());
    const double most = norms.empty() ? 0.0 : norm_limit * *middle;
    double sum = 0.0;
    for (auto& term : all) sum += term.weight = std::min(term.weight, most);
    for (auto& term : all)
      term.weight = sum > 0.0 ? term.weight / sum : 1.0 / static_cast<double>(all.size());
  }
};

}  // namespace loru::inline LORU_ISA::fl
