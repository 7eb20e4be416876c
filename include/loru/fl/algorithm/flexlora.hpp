#pragma once
// The clients' products averaged whole, and factored again.

#include <tuple>

#include <loru/fl/terms.hpp>

namespace loru::fl {

/// s·B·A ← the best rank-r part of Σ p_k·s_k·B_k·A_k, by singular value decomposition. Where the sum R of the ranks is the
/// smallest extent the product is never formed: QR of the stacked factors and a decomposition of (R, R), O((m + n)·R²).
/// Source: Bai et al. (FlexLoRA), arXiv 2402.11505, section 3.
struct FlexLora {
  static constexpr std::string_view name = "flexlora";
  static constexpr bool low_rank = true;
  static constexpr bool keeps_updates = true;
  static constexpr auto fields() { return std::tuple{}; }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    get_state(cohort.mean, server.model());
    lowrank::for_each_factored(server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const auto best = lowrank::to_device<D>(
          lowrank::truncate(lowrank::stack(terms(cohort, layer, weight)), weight.rank(), 1.0));
      weight.a().set_value(best.a);
      weight.b().set_value(best.b);
    });
  }
};

}  // namespace loru::fl
