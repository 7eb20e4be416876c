#pragma once
// Merging factors into their weight.

#include <map>
#include <string>

#include <loru/lowrank/init.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/aggregation_aware.hpp>
#include <loru/nn/core_factored.hpp>
#include <loru/nn/nested.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// What becomes of the factors after W ← W + s·B·A.
enum class MergeKind : unsigned char {
  reinit,  ///< A Kaiming-uniform, B zero: the effective weight is unchanged
  keep,    ///< the factors go on from where they are: s·B·A counts a second time in the effective weight
};

inline const char* to_string(MergeKind kind) { return kind == MergeKind::reinit ? "reinit" : "keep"; }

/// W ← W + s·B·A as a new tensor, also where W was in blocks, so that models which share W keep theirs.
template <class T, class D>
void merge_factors(nn::Factored<T, D>& layer) {
  layer.base().set_value(
      lowrank_compose(layer.base().decoded(), layer.a().value(), layer.b().value(), layer.scale()));
}

/// f(layer name, weight) for every layer with a frozen W beside its factors.
template <class T, class D, class F>
void for_each_frozen(nn::Model<T, D>& model, F f) {
  for_each_weight<nn::Factored, nn::Nested, nn::AggregationAware, nn::CoreFactored>(model, f);
}

/// f(layer name, weight) for those of them whose own factors may be merged into W.
template <class T, class D, class F>
void for_each_merging(nn::Model<T, D>& model, F f) {
  for_each_weight<nn::Factored, nn::AggregationAware>(model, f);
}

/// W after merge `number`, from 0, of a layer's factors: W + s·B·A.
template <class P, class T, class D>
Tensor<T, D> merged(const P&, const Tensor<T, D>& w, const Factors<T, D>& f, double s, Index) {
  return lowrank_compose(w, f.a, f.b, s);
}

/// W + s·(B·A_0 + B_0·A) with the fixed factors of that number.
template <class T, class D>
Tensor<T, D> merged(const nn::AggregationAware<T, D>& layer, const Tensor<T, D>& w, const Factors<T, D>& f,
                    double s, Index number) {
  return layer.merged(w, f.a, f.b, s, number);
}

/// Factors by layer name, of any rank, with the layer's own scale s.
template <class T, class D = Cpu>
using Products = std::map<std::string, Factors<T, D>>;

/// The factors of every layer that may merge.
template <class T, class D>
Products<T, D> products(nn::Model<T, D>& model) {
  Products<T, D> all;
  for_each_merging(model, [&](const std::string& name, auto& layer) {
    all[name] = {layer.a().value(), layer.b().value()};
  });
  return all;
}

/// Merge `number` of every layer that may merge, with the given factors; the layers' own stay as they are.
template <class T, class D>
void merge_products(nn::Model<T, D>& model, const Products<T, D>& products, Index number = 0) {
  for_each_merging(model, [&](const std::string& name, auto& layer) {
    layer.base().set_value(merged(layer, layer.base().decoded(), products.at(name), layer.scale(), number));
  });
}

/// New factors after `merges` merges: in every factored layer A Kaiming-uniform from the stream and B zero;
/// in an aggregation-aware one zeros beside the fixed factors of that number.
template <class T, class D>
void restart_factors(nn::Model<T, D>& model, const rng::Stream& stream, Index merges = 0) {
  for_each_weight<nn::AggregationAware>(model, [&](auto&, auto& layer) { layer.restart(merges); });
  std::uint32_t position = 0;
  for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T, D>& layer) {
    const auto fresh = to_device<D>(
        initial_factors<T>(layer.shape(), layer.rank(), stream.fork(++position), layer.options().init_scale));
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
