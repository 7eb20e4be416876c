#pragma once
// Federated averaging of dense layers.

#include <loru/fl/algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// x ← Σ n_k·x_k / Σ n_k over the cohort. Source: McMahan et al., arXiv 1602.05629, Algorithm 1.
struct FedAvg {
  static constexpr std::string_view name = "fedavg";
  static constexpr bool low_rank = false;
  using hooks = Hooks<>;
  static constexpr auto fields() { return Fields{}; }
};

}  // namespace loru::inline LORU_ISA::fl
