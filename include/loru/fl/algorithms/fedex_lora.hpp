#pragma once
// Averaged factors; what averaging loses is added to the weight.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// A ← Ā = Σ p_k·A_k, B ← B̄ = Σ p_k·B_k and W ← W + s·Σ p_k·(B_k − B̄)·(A_k − Ā): the effective weight is
/// exactly W + Σ p_k·s·B_k·A_k. The residual goes down factored, with rank (K − 1)·r for K clients: since Σ
/// p_k·(B_k − B̄) = 0 it is s·Σ_{k<K} p_k·(B_k − B̄)·(A_k − A_K). Source: Singhal et al. (FedEx-LoRA), arXiv
/// 2410.09432, equations 9 to 12.
struct FedExLoRA {
  static constexpr std::string_view name = "fedex_lora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::fold>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    get_state(cohort.mean, server.model());
    if (cohort.updates.size() < 2) return;
    lowrank::Products<T, D> residuals;
    lowrank::for_each_weight<nn::Factored>(
        server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
          auto all = terms(cohort, layer, weight);
          const Tensor<T> last = all.back().a,
                          mean = cohort.averaged.get<T>(nn::factor_name(layer, nn::Role::up));
          all.pop_back();
          for (auto& term : all) {
            term.a = clone(term.a);
            term.b = clone(term.b);
            add_scaled(term.a, T(-1), last);
            add_scaled(term.b, T(-1), mean);
          }
          residuals[layer] = lowrank::to_device<D>(lowrank::stack(all));
        });
    server.merge(residuals);
  }
};

}  // namespace loru::inline LORU_ISA::fl
