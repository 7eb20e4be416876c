#pragma once
// Merging factors into their weight.

#include <map>
#include <string>

#include <loru/lowrank/init.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// What becomes of the factors after W ← W + s·B·A.
enum class MergeKind : unsigned char {
  reinit,  ///< A Kaiming-uniform, B zero: the effective weight is unchanged
  keep,    ///< the factors go on from where they are: s·B·A counts a second time in the effective weight
};

inline const char* to_string(MergeKind kind) { return kind == MergeKind::reinit ? "reinit" : "keep"; }

/// W ← W + s·B·A as a new tensor, so that models which share W keep theirs.
template <class T, class D>
void merge_factors(nn::Factored<T, D>& layer) {
  layer.base().set_value(
      lowrank_compose(layer.base().value(), layer.a().value(), layer.b().value(), layer.scale()));
}

/// Factors by layer name, of any rank: s·B·A with the layer's own scale s.
template <class T, class D = Cpu>
using Products = std::map<std::string, Factors<T, D>>;

/// The factors of every factored layer.
template <class T, class D>
Products<T, D> products(nn::Model<T, D>& model) {
  Products<T, D> all;
  for_each_weight<nn::Factored>(model, [&](const std::string& name, nn::Factored<T, D>& layer) {
    all[name] = {layer.a().value(), layer.b().value()};
  });
  return all;
}

/// W ← W + s·B·A in every factored layer with the given factors, one product a layer; the layers' own stay as
/// they are.
template <class T, class D>
void merge_products(nn::Model<T, D>& model, const Products<T, D>& products) {
  for_each_weight<nn::Factored>(model, [&](const std::string& name, nn::Factored<T, D>& layer) {
    const Factors<T, D>& f = products.at(name);
    layer.base().set_value(lowrank_compose(layer.base().value(), f.a, f.b, layer.scale()));
  });
}

/// New factors in every factored layer: A Kaiming-uniform from the stream, B zero.
template <class T, class D>
void restart_factors(nn::Model<T, D>& model, const rng::Stream& stream) {
  std::uint32_t position = 0;
  for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T, D>& layer) {
    const auto fresh = to_device<D>(initial_factors<T>(layer.shape(), layer.rank(), stream.fork(++position)));
    layer.a().set_value(fresh.a);
    layer.b().set_value(fresh.b);
  });
}

/// Merges every factored layer: W ← W + s·B·A; then, with MergeKind::reinit, A and B start anew from the
/// stream. Source: Park and Klabjan, arXiv 2409.12371, Algorithm 1.
template <class T, class D>
void merge(nn::Model<T, D>& model, MergeKind kind, const rng::Stream& stream) {
  merge_products(model, products(model));
  if (kind == MergeKind::reinit) restart_factors(model, stream);
}

}  // namespace loru::inline LORU_ISA::lowrank
