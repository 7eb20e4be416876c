#pragma once
// Federated averaging of factors that are never merged.

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// A ← Σ p_k·A_k, B ← Σ p_k·B_k with p_k = n_k / Σ n: FedAvg over what is trained while W stays as it began.
/// Source: Zhang et al. (FedIT), arXiv 2305.05644.
struct FedLoRA {
  static constexpr std::string_view name = "fedlora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<>;
  static constexpr auto fields() { return Fields{}; }
};

}  // namespace loru::inline LORU_ISA::fl
