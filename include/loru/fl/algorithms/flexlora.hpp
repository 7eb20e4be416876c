#pragma once
// The clients' products averaged whole, and factored again.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// s·B·A ← the best rank-r part of Σ p_k·s_k·B_k·A_k, by singular value decomposition. Client k gets the
/// leading r_k directions, which is the best rank-r_k part. Directions that the sum lacks start anew, with
/// A's row Kaiming-uniform and B's column zero. If the sum R of the ranks is smaller than m and n, the
/// product is never formed: QR of the stacked factors and a decomposition of (R, R), O((m + n)·R²). Source:
/// Bai et al. (FlexLoRA), arXiv 2402.11505, section 3.
struct FlexLoRA {
  static constexpr std::string_view name = "flexlora";
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
      return best_factors(server, layer, weight, lowrank::stack(terms(cohort, layer, weight)), weight.rank());
    });
  }
};

}  // namespace loru::inline LORU_ISA::fl
