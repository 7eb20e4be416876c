#pragma once
// Updates of the weight in an aggregation-aware decomposition, merged and restarted every few rounds.

#include <loru/fl/server/server.hpp>
#include <loru/lowrank/aggregation_aware.hpp>

namespace loru::inline LORU_ISA::fl {

/// W + s·(B·A_0 + B_0·A): A ← Σ p_k·A_k, B ← Σ p_k·B_k, which is the exact mean of the updates, since A_0 and
/// B_0 are common to all. After every interval-th round W ← W + s·(B·A_0 + B_0·A), A and B start at zero and
/// A_0, B_0 are drawn anew, uniform within ±initial. They follow from the seed and the number of merges and
/// are never sent. r·(m + n) numbers go up for an update of rank up to 2·r. With interval = 1 A and B start
/// at zero in every round and are not sent down; what was merged is, r·(m + n) numbers for each missed merge.
///
/// Source: Li et al. (FedMUD), arXiv 2505.23176, its abstract and its code (github
/// Leopold1423/fedmud-icml25 at e1f3ccf, pattern fab+cfd); there s = 1 and a convolution is decomposed as
/// (m·kh, kw·Cin), here as (m, Cin·kh·kw). Its blocks of Kronecker products are left out.
struct FedMUD {
  Index interval = 1;
  double initial = 0.1;

  static constexpr std::string_view name = "fedmud";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::parametrise, hook::suits, hook::sends, hook::load, hook::after_round>;
  static constexpr auto fields() {
    return Fields{field("interval", &FedMUD::interval, range::at_least(1), "rounds between two merges"),
                  field("initial", &FedMUD::initial, range::positive,
                        "the fixed factors are uniform within plus or minus this")};
  }

  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    return lowrank::factorize_aggregation_aware(model, o, initial);
  }

  template <class T, class D>
  bool suits(nn::Weight<T, D>& weight) const {
    return weight.template as<nn::AggregationAware<T, D>>() != nullptr;
  }

  bool sends(const nn::TensorId& tensor) const { return interval > 1 || not_factor(tensor); }

  template <class T, class D>
  void load(nn::Model<T, D>& model, const io::Archive& broadcast) const {
    const auto merges = detail::number<Index>(broadcast, "merges");
    lowrank::for_each_weight<nn::AggregationAware>(model, [&](auto&, auto& layer) { layer.restart(merges); });
    get_state(broadcast, model, [this](const nn::TensorId& tensor) { return sends(tensor); });
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    if (server.round() % interval == 0) server.merge(lowrank::MergeKind::reinit);
  }
};

}  // namespace loru::inline LORU_ISA::fl
