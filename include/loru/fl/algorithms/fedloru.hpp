#pragma once
// Federated low-rank updates: averaged factors, merged every few rounds.

#include <optional>

#include <loru/fl/client/train.hpp>
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
  Index warmup = 0;

  static constexpr std::string_view name = "fedloru";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::train, hook::after_round>;
  static constexpr auto fields() {
    return Fields{merge_fields<FedLoRU>(),
                  field("warmup", &FedLoRU::warmup, range::at_least(0),
                        "rounds after a merge in which the learning rate rises; with tau and rounds")};
  }

  /// In the t-th round after a merge, t = 1 to `warmup`, the learning rate η is η·t / (warmup + 1). Throws
  /// ConfigError if merge_when measures: a client cannot know when the server merged.
  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    if (warmup == 0) return fl::train(turn);
    const std::optional<Index> since = rounds_since_merge(merge_schedule(*this), turn.head.round);
    if (!since || *since > warmup) return fl::train(turn);
    ClientOptions options = turn.options;
    options.optimizer.learning_rate *= static_cast<double>(*since) / static_cast<double>(warmup + 1);
    return fl::train(Turn<T, D>{turn.model, turn.dataset, turn.samples, options, turn.head, turn.state,
                                turn.broadcast, turn.extra, turn.task});
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    merge_if_due(*this, server);
  }
};

}  // namespace loru::inline LORU_ISA::fl
