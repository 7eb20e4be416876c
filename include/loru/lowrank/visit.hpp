#pragma once
// Layers of a model by how their weights are parametrised.

#include <string>

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// f(layer name, weight) for every layer of the model whose weight is parametrised by one of P, in the
/// model's order: for_each_weight<nn::Factored>(model, f). With several of them f is generic.
template <template <class, class> class... P, class T, class D, class F>
void for_each_weight(nn::Model<T, D>& model, F f) {
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    const auto show = [&](auto* found) {
      if (found) f(layer, *found);
    };
    (show(weight.template as<P<T, D>>()), ...);
  }});
}

}  // namespace loru::inline LORU_ISA::lowrank
