#pragma once
// Norms of the shared update and of personal updates, and the angle between them.

#include <loru/fl/client/personal_factors.hpp>

namespace loru::inline LORU_ISA::fl {

/// Frobenius norms of the update that all clients share and of the clients' personal updates, and the cosine
/// of the angle between them: −1 where one undoes the other. Means over clients.
struct Overlap {
  double global_norm = 0.0, personal_norm = 0.0, cosine = 0.0;
};

/// By layer, of the model's effective weight − `start` and of s_p·U_k·L_k for the clients with personal
/// factors. Empty if none has.
template <class T, class D>
std::map<std::string, Overlap> personal_overlap(nn::Model<T, D>& model,
                                                const std::map<std::string, Tensor<T, D>>& start,
                                                ClientStore& store, double scale) {
  std::map<std::string, Overlap> all;
  std::map<std::string, Tensor<T>> shared;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (!start.contains(layer)) return;
    shared[layer] = clone(to_host(weight.effective()));
    add_scaled(shared[layer], T(-1), to_host(start.at(layer)));
  }});
  Index counted = 0;
  for (const Index client : store.clients()) {
    const auto state = store.load(client);
    if (!state) continue;
    bool counts = false;
    for (const auto& [layer, g] : shared) {
      if (!state->contains(personal_name(layer, nn::Role::down))) continue;
      counts = true;
      const auto a = to_layout(state->get<T>(personal_name(layer, nn::Role::down)), g.layout());
      const auto zero = to_layout(nn::constant<T>(g.shape(), 0.0), g.layout());
      const Tensor<T> p = lowrank_compose(zero, a, state->get<T>(personal_name(layer, nn::Role::up)), scale);
      double dot = 0.0;
      for (Index i = 0; i < g.size(); ++i)
        dot += static_cast<double>(g.data()[i]) * static_cast<double>(p.data()[i]);
      const double x = std::sqrt(squared_norm(g)), y = std::sqrt(squared_norm(p));
      Overlap& sum = all[layer];
      sum.global_norm = x;
      sum.personal_norm += y;
      sum.cosine += x > 0.0 && y > 0.0 ? dot / (x * y) : 0.0;
    }
    counted += counts;
  }
  for (auto& [layer, o] : all) {
    o.personal_norm /= static_cast<double>(counted);
    o.cosine /= static_cast<double>(counted);
  }
  return all;
}

}  // namespace loru::inline LORU_ISA::fl
