#pragma once
// Shared down-projections, own up-projections.

#include <tuple>

#include <loru/fl/server/mean_of_own.hpp>

namespace loru::inline LORU_ISA::fl {

/// Clients train both factors; A ← Σ p_k·A_k, while B_k stays on its client from turn to turn: r·n numbers a
/// layer travel. The server never has a B but the one all begin with. The global model is evaluated with B̄ =
/// Σ n_k·B_k / Σ n_k over all clients that have taken part, which the simulation reads from their states: no
/// message carries it, and no server without them could compute it. Source: Guo et al. (FedSA-LoRA), arXiv
/// 2410.01463, section 3.
struct FedSALoRA {
  static constexpr std::string_view name = "fedsa_lora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::sends, hook::personal, hook::evaluated>;
  static constexpr auto fields() { return std::tuple{}; }

  bool sends(const nn::TensorId& tensor) const { return tensor.role != nn::Role::up; }
  bool personal(const nn::TensorId& tensor) const { return tensor.role == nn::Role::up; }

  template <class T, class D>
  nn::Model<T, D> evaluated(nn::Model<T, D>& global, ClientStore& states,
                            std::span<const std::vector<Index>> parts) const {
    return with_mean_of_own(global, [this](const auto& tensor) { return personal(tensor); }, states, parts);
  }
};

}  // namespace loru::inline LORU_ISA::fl
