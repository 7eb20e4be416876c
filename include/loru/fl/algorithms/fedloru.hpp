#pragma once
// Federated low-rank updates: averaged factors, merged every few rounds.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// A ← Σ p_k·A_k, B ← Σ p_k·B_k; after every tau-th round, or as MergeSchedule says, W ← W + s·B·A
/// everywhere, and the factors start anew or go on. The accumulated update has rank up to (rounds / tau)·r.
/// Source: Park and Klabjan, arXiv 2409.12371, Algorithm 1 (whose letters A and B are the other way round);
/// merge = keep is what the authors' public code does.
struct FedLoRU {
  Index tau = 10;
  lowrank::MergeKind merge = lowrank::MergeKind::reinit;
  MergeWhen merge_when = MergeWhen::tau;
  std::vector<Index> merge_rounds{};
  double growth = 0.05;
  Index window = 3;

  static constexpr std::string_view name = "fedloru";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::after_round>;
  static constexpr auto fields() { return merge_fields<FedLoRU>(); }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    merge_if_due(*this, server);
  }
};

}  // namespace loru::inline LORU_ISA::fl
