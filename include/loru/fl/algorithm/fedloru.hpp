#pragma once
// Federated low-rank updates: averaged factors, merged every few rounds.

#include <tuple>

#include <loru/fl/server.hpp>

namespace loru::fl {

/// A ← Σ p_k·A_k, B ← Σ p_k·B_k; after every tau-th round W ← W + s·B·A everywhere, and the factors start anew or go
/// on. The accumulated update has rank up to (rounds / tau)·r. Source: Park and Klabjan, arXiv 2409.12371, Algorithm 1
/// (whose letters A and B are the other way round); merge = keep is what the authors' public code does.
struct FedLoRU {
  Index tau = 10;
  lowrank::MergeKind merge = lowrank::MergeKind::reinit;

  static constexpr std::string_view name = "fedloru";
  static constexpr bool low_rank = true;
  static constexpr auto fields() {
    return std::tuple{
        Field{"tau", &FedLoRU::tau, Index{1}, std::numeric_limits<Index>::max(), "rounds between two merges"},
        Choice{"merge", &FedLoRU::merge,
               std::array{std::pair{"reinit", lowrank::MergeKind::reinit},
                          std::pair{"keep", lowrank::MergeKind::keep}},
               "what becomes of the factors after a merge"}};
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    if (server.round() % tau == 0) server.merge(merge);
  }
};

}  // namespace loru::fl
