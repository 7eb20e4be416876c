#pragma once
// The clients' products averaged direction by direction over those who have it, and factored again.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// FlexLoRA whose sum is taken by partitions of the rank: s·B·A ← the best rank-r part of Σ_i Σ_{k: r_k >=
/// i} (n_k / N_i)·s_k·b_ki·a_ki with b_ki column i of B_k, a_ki row i of A_k and N_i the samples of the
/// clients whose rank is i or more. With FlexLoRA's weights n_k / Σ n a direction that only the clients of
/// high rank have shrinks by their share in every round, so that the update collapses to the smallest rank;
/// here factors that nobody changes stay as they are. Where all ranks are the same it is FlexLoRA.
///
/// Source: Wu et al. (raFLoRA), arXiv 2602.13486, of which the abstract could be read: "rank partitions",
/// each "weighted by its effective client contributions". Inferred are the weights n_k / N_i, the same for
/// all directions between two ranks of the cohort, and that the server's own directions stay where no
/// client of the cohort has them.
struct RaFLoRA {
  static constexpr std::string_view name = "raflora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::broadcast, hook::fold, trait::mixed_ranks>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, std::span<const Index> ranks) const {
    put_best(archive, server.model(), ranks);
  }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    fold_factors(server, cohort, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      return best_factors(server, layer, weight, lowrank::stack(partitioned(cohort, layer, weight)),
                          weight.rank());
    });
  }

 private:
  /// The terms of one layer with row i of A_k times Σ n / N_i, and the server's directions that no client
  /// has.
  template <class T, class D>
  static std::vector<lowrank::Term<T>> partitioned(const Cohort& cohort, const std::string& layer,
                                                   nn::Factored<T, D>& weight) {
    auto all = terms(cohort, layer, weight);
    std::vector<Index> samples(static_cast<std::size_t>(weight.rank()));  // N_i
    Index most = 0;
    for (std::size_t k = 0; k < all.size(); ++k) {
      most = std::max(most, all[k].a.dim(0));
      for (Index i = 0; i < all[k].a.dim(0); ++i)
        samples[static_cast<std::size_t>(i)] += cohort.updates[k].samples;
    }
    for (auto& term : all) {
      term.a = clone(term.a);
      const Index rank = term.a.dim(0), n = term.a.size() / rank;
      for (Index i = 0; i < rank; ++i) {
        const double share =
            static_cast<double>(samples[static_cast<std::size_t>(i)]) / static_cast<double>(cohort.samples);
        for (T& x : term.a.span().subspan(static_cast<std::size_t>(i * n), static_cast<std::size_t>(n)))
          x = static_cast<T>(static_cast<double>(x) / share);
      }
    }
    if (most == weight.rank()) return all;
    const lowrank::Factors<T> own{to_host(weight.a().value()), to_host(weight.b().value())};
    const auto rest = lowrank::directions(own, most, weight.rank());
    all.push_back({1.0, rest.a, rest.b});
    return all;
  }
};

}  // namespace loru::inline LORU_ISA::fl
