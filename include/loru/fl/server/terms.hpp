#pragma once
// The factors that a cohort sent, layer by layer, as a sum of products.

#include <loru/fl/any_algorithm.hpp>
#include <loru/lowrank/tail.hpp>

namespace loru::inline LORU_ISA::fl {

/// Adds to a broadcast the leading r_k rows of A and columns of B of every factored layer, each times factor(s, s_k) with
/// s = alpha / r and s_k = alpha / r_k. Where r_k = r they are sent as they are.
template <class T, class D, class F>
void put_leading(io::Archive& archive, Server<T, D>& server, Index client, F factor) {
  const std::vector<Index> ranks = server.ranks(client);
  auto rank = ranks.begin();
  lowrank::for_each_weight<nn::Factored>(server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
    lowrank::Factors<T> f{to_host(weight.a().value()), to_host(weight.b().value())};
    if (*rank != weight.rank()) {
      f = lowrank::resized(f, *rank);
      const auto c = static_cast<T>(factor(weight.scale(), weight.alpha() / static_cast<double>(*rank)));
      for (T& x : f.a.span()) x *= c;
      for (T& x : f.b.span()) x *= c;
    }
    ++rank;
    archive.share(layer + ".lora_A.weight", f.a);
    archive.share(layer + ".lora_B.weight", f.b);
  });
}

/// s·B·A as a matrix of the layer's shape and layout, on the host.
template <class T, class D>
Tensor<T> formed(nn::Factored<T, D>& weight, const lowrank::Factors<T>& f, double s) {
  const auto zero = to_layout(nn::constant<T>(weight.shape(), 0.0), weight.base().value().layout());
  return lowrank_compose(zero, f.a, f.b, s);
}

/// A_k = A + A_d·A_u (of_a) or B_k = B + B_u·B_d of an update with inner factors nested in the server's `outer`, A or B; without
/// them `outer` itself. Throws DataError for inner factors that do not fit.
template <class T>
Tensor<T> rebuilt(const io::Archive& sent, const std::string& factor, const Tensor<T>& outer, bool of_a) {
  const std::string left = factor + (of_a ? "_down.weight" : "_up.weight"),
                    right = factor + (of_a ? "_up.weight" : "_down.weight");
  if (!sent.contains(right)) return outer;
  const Shape& shape = sent.raw(right).shape;
  const Index rank = shape.rank() > 0 ? shape[0] : 0;
  return lowrank_compose(
      outer, to_layout(sent.get<T>(right, lowrank::factor_shape(outer.shape(), rank)), outer.layout()),
      sent.get<T>(left, {outer.dim(0), rank}), 1.0);
}

/// (p_k·s_k / s, A_k, B_k) of one layer for each update of the cohort, p_k = n_k / Σ n and s_k = alpha / r_k: the layer's update
/// is s·Σ weight_k·B_k·A_k. A factor of which nothing was sent stood still and is the server's. The terms are on the host. Ranks
/// may differ. Throws DataError for factors that do not fit the layer.
template <class T, class D>
std::vector<lowrank::Term<T>> terms(const Cohort& cohort, const std::string& layer,
                                    nn::Factored<T, D>& weight) {
  std::vector<lowrank::Term<T>> all;
  const Shape w = weight.shape();
  for (const Update& update : cohort.updates) {
    const std::string a = layer + ".lora_A.weight", b = layer + ".lora_B.weight";
    const bool has_a = update.state.contains(a), has_b = update.state.contains(b);
    Index rank = weight.rank();
    if (has_a) rank = update.state.raw(a).shape.rank() > 0 ? update.state.raw(a).shape[0] : 0;
    const double p = static_cast<double>(update.samples) / static_cast<double>(cohort.samples);
    all.push_back({p * static_cast<double>(weight.rank()) / static_cast<double>(rank),
                   has_a ? to_layout(update.state.get<T>(a, lowrank::factor_shape(w, rank)),
                                     weight.a().value().layout())
                         : rebuilt(update.state, layer + ".lora_A", to_host(weight.a().value()), true),
                   has_b ? update.state.get<T>(b, {w[0], rank})
                         : rebuilt(update.state, layer + ".lora_B", to_host(weight.b().value()), false)});
  }
  return all;
}

/// (p_k, V_k, U_k) of one layer for each update of the cohort: its weight as a matrix is Σ p_k·U_k·V_k. Ranks may differ.
template <class T>
std::vector<lowrank::Term<T>> product_terms(const Cohort& cohort, const std::string& layer) {
  std::vector<lowrank::Term<T>> all;
  for (const Update& update : cohort.updates) {
    const double p = static_cast<double>(update.samples) / static_cast<double>(cohort.samples);
    all.push_back({p, update.state.get<T>(layer + ".product_V.weight"),
                   update.state.get<T>(layer + ".product_U.weight")});
  }
  return all;
}

}  // namespace loru::fl
