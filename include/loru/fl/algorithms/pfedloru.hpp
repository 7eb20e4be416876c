#pragma once
// Federated low-rank updates with factors that stay on the client.

#include <loru/fl/client/personal_factors.hpp>
#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// Client k computes with W + s·B·A + s_p·U_k·L_k, s_p = personal_alpha / personal_rank. (A, B) are
/// FedLoRU's; (L_k, U_k) never leave the client. Its turn has two phases of the configured epochs each: the
/// first trains (L_k, U_k) over the frozen W + s·B·A with everything else fixed, statistics included, on
/// streams of its own; the second is FedLoRU's turn over the frozen W + s_p·U_k·L_k. A client that was never
/// chosen has the first phase only. personal_alpha = 0 is FedLoRU. Source: Park and Klabjan, arXiv
/// 2409.12371, Algorithm 2.
struct PFedLoRU {
  Index tau = 10;
  lowrank::MergeKind merge = lowrank::MergeKind::reinit;
  Index personal_rank = 4;
  double personal_alpha = 4.0;
  MergeWhen merge_when = MergeWhen::tau;
  std::vector<Index> merge_rounds{};
  double growth = 0.05;
  Index window = 3;

  static constexpr std::string_view name = "pfedloru";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::parametrise, hook::train, hook::after_round, hook::personalise>;
  static constexpr auto fields() {
    return Fields{merge_fields<PFedLoRU>(),
                  field("personal_rank", &PFedLoRU::personal_rank, range::at_least(1),
                        "rank of a client's own factors"),
                  field("personal_alpha", &PFedLoRU::personal_alpha, range::not_negative,
                        "the client's own update is personal_alpha / personal_rank times their product; 0 is "
                        "fedloru")};
  }

  double personal_scale() const { return personal_alpha / static_cast<double>(personal_rank); }

  /// Throws ConfigError as lowrank::factorize does, and for a personal rank above a layer's extents.
  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    const auto layers = lowrank::factorize(model, o);
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const Index m = weight.shape()[0], n = weight.shape().size() / m;
      require<ConfigError>(personal_rank <= std::min(m, n), "pfedloru: layer ", layer, ": personal_rank ",
                           personal_rank, " exceeds min(in=", n, ", out=", m, ") = ", std::min(m, n));
    });
    return layers;
  }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    if (personal_alpha == 0.0) return fl::train(turn);
    const auto own = fit_personal_factors(turn, personal_rank, personal_alpha);
    put_personal_factors(turn.state, own);
    const KeepBase<T, D> guard(turn.model);
    add_personal(turn.model, own, personal_scale());
    return fl::train(turn);
  }

  template <class T, class D>
  void after_round(Server<T, D>& server) const {
    merge_if_due(*this, server);
  }

  template <class T, class D>
  void personalise(const Turn<T, D>& turn) const {
    if (personal_alpha == 0.0) return;
    const auto own = turn.state.size() > 0 ? personal_factors(turn, personal_rank)
                                           : fit_personal_factors(turn, personal_rank, personal_alpha);
    add_personal(turn.model, own, personal_scale());
  }
};

}  // namespace loru::inline LORU_ISA::fl
