#pragma once
// The factors that a cohort sent, layer by layer, as a sum of products.

#include <loru/fl/algorithm.hpp>
#include <loru/lowrank/resize.hpp>
#include <loru/lowrank/stack.hpp>

namespace loru::inline LORU_ISA::fl {

/// Adds to a broadcast the leading r_k rows of A and columns of B of every factored layer, each times
/// factor(s, s_k) with s = alpha / r and s_k = alpha / r_k. Where r_k = r they are sent as they are.
template <class T, class D, class F>
void put_leading(io::Archive& archive, nn::Model<T, D>& model, std::span<const Index> ranks, F factor) {
  auto rank = ranks.begin();
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    lowrank::Factors<T> f{to_host(weight.a().value()), to_host(weight.b().value())};
    if (*rank != weight.rank()) {
      f = lowrank::resized(f, *rank);
      const auto c = static_cast<T>(factor(weight.scale(), weight.alpha() / static_cast<double>(*rank)));
      for (T& x : f.a.span()) x *= c;
      for (T& x : f.b.span()) x *= c;
    }
    ++rank;
    archive.share(nn::factor_name(layer, nn::Role::down), f.a);
    archive.share(nn::factor_name(layer, nn::Role::up), f.b);
  });
}

/// s·B·A as a matrix of the layer's shape and layout, on the host.
template <class T, class D>
Tensor<T> formed(nn::Factored<T, D>& weight, const lowrank::Factors<T>& f, double s) {
  const auto zero = to_layout(nn::constant<T>(weight.shape(), 0.0), weight.base().layout());
  return lowrank_compose(zero, f.a, f.b, s);
}

/// The ranks of an update's factors of these layers, the model's in its order, at most `most`.
template <class T, class D>
std::vector<Index> sent_ranks(nn::Model<T, D>& model, const io::Archive& update, std::vector<Index> most) {
  auto rank = most.begin();
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, auto&) {
    const Shape& a = update.raw(nn::factor_name(layer, nn::Role::down)).shape;
    if (a.rank() > 0 && a[0] >= 1) *rank = std::min(*rank, a[0]);
    ++rank;
  });
  return most;
}

/// (p_k·s_k / s, A_k, B_k) of one layer for each update of the cohort, p_k = n_k / Σ n and s_k = alpha / r_k:
/// the layer's update is s·Σ weight_k·B_k·A_k. A factor that was not sent was not trained: it is the
/// server's. The terms are on the host. Ranks may differ. Throws DataError for factors that do not fit the
/// layer.
template <class T, class D>
std::vector<lowrank::Term<T>> terms(const Cohort& cohort, const std::string& layer,
                                    nn::Factored<T, D>& weight) {
  std::vector<lowrank::Term<T>> all;
  const Shape w = weight.shape();
  for (const Update& update : cohort.updates) {
    const std::string a = nn::factor_name(layer, nn::Role::down), b = nn::factor_name(layer, nn::Role::up);
    const bool has_a = update.state.contains(a), has_b = update.state.contains(b);
    Index rank = weight.rank();
    if (has_a) rank = update.state.raw(a).shape.rank() > 0 ? update.state.raw(a).shape[0] : 0;
    const double p = static_cast<double>(update.samples) / static_cast<double>(cohort.samples);
    all.push_back({p * static_cast<double>(weight.rank()) / static_cast<double>(rank),
                   has_a ? to_layout(update.state.get<T>(a, lowrank::factor_shape(w, rank)),
                                     weight.a().value().layout())
                         : to_host(weight.a().value()),
                   has_b ? update.state.get<T>(b, {w[0], rank}) : to_host(weight.b().value())});
  }
  return all;
}

/// (p_k, V_k, U_k) of one layer for each update of the cohort: its weight as a matrix is Σ p_k·U_k·V_k. Ranks
/// may differ.
template <class T>
std::vector<lowrank::Term<T>> product_terms(const Cohort& cohort, const std::string& layer) {
  std::vector<lowrank::Term<T>> all;
  for (const Update& update : cohort.updates) {
    const double p = static_cast<double>(update.samples) / static_cast<double>(cohort.samples);
    all.push_back({p, update.state.get<T>(nn::product_name(layer, nn::Role::down)),
                   update.state.get<T>(nn::product_name(layer, nn::Role::up))});
  }
  return all;
}

}  // namespace loru::inline LORU_ISA::fl
