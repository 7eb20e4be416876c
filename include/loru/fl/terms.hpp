#pragma once
// The factors that a cohort sent, layer by layer, as a sum of products.

#include <loru/fl/server.hpp>
#include <loru/lowrank/stack.hpp>

namespace loru::fl {

/// Whether a tensor of the state is a down-projection A or an up-projection B of a factored layer.
inline bool is_lora_a(std::string_view tensor) { return tensor.ends_with("lora_A.weight"); }
inline bool is_lora_b(std::string_view tensor) { return tensor.ends_with("lora_B.weight"); }

/// (p_k·s_k / s, A_k, B_k) of one layer for each update of the cohort, p_k = n_k / Σ n and s_k = alpha / r_k: the layer's update
/// is s·Σ weight_k·B_k·A_k. The terms are on the host. Ranks may differ. Throws DataError for factors that do not fit the layer.
template <class T, class D>
std::vector<lowrank::Term<T>> terms(const Cohort& cohort, const std::string& layer,
                                    nn::Factored<T, D>& weight) {
  std::vector<lowrank::Term<T>> all;
  const Shape w = weight.shape();
  for (const Update& update : cohort.updates) {
    const std::string a = layer + ".lora_A.weight", b = layer + ".lora_B.weight";
    const Index rank = update.state.raw(a).shape.rank() > 0 ? update.state.raw(a).shape[0] : 0;
    const double p = static_cast<double>(update.samples) / static_cast<double>(cohort.samples);
    all.push_back(
        {p * static_cast<double>(weight.rank()) / static_cast<double>(rank),
         to_layout(update.state.get<T>(a, lowrank::factor_shape(w, rank)), weight.a().value().layout()),
         update.state.get<T>(b, {w[0], rank})});
  }
  return all;
}

}  // namespace loru::fl
