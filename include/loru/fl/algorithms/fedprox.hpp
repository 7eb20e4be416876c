#pragma once
// Federated averaging with clients held near the global model.

#include <loru/fl/client/train.hpp>

namespace loru::inline LORU_ISA::fl {

/// Each client minimises its loss plus mu/2·‖x − x_global‖²: every gradient gets mu·(x − x_global). With mu =
/// 0 it is FedAvg. Source: Li et al. (FedProx), arXiv 1812.06127, equation 2.
struct FedProx {
  double mu = 0.01;
  bool low_rank = false;

  static constexpr std::string_view name = "fedprox";
  using hooks = Hooks<hook::train>;
  static constexpr auto fields() {
    return Fields{
        field("mu", &FedProx::mu, range::not_negative, "weight of mu/2·‖x − x_global‖² in a client's loss"),
        layers_field<FedProx>()};
  }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    if (mu == 0.0) return fl::train(turn);
    std::vector<Tensor<T, D>> global;
    for (auto& p : turn.model.trained_parameters()) global.push_back(clone(p.value.value()));
    const auto weight = static_cast<T>(mu);
    return fl::train(turn, [&](std::vector<Variable<T, D>>& parameters) {
      for (std::size_t i = 0; i < parameters.size(); ++i) {
        Tensor<T, D>& gradient = parameters[i].mutable_gradient();
        if (!gradient) continue;
        if (!gradient.unique()) gradient = clone(gradient);
        add_scaled(gradient, weight, parameters[i].value());
        add_scaled(gradient, -weight, global[i]);
      }
    });
  }
};

}  // namespace loru::inline LORU_ISA::fl
