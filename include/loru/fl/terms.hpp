#pragma once
// The factors that a cohort sent, layer by layer, as a sum of products.

#include <loru/fl/algorithm/any_algorithm.hpp>
#include <loru/lowrank/tail.hpp>

namespace loru::fl {

/// Adds to a broadcast the leading r_k rows of A and columns of B of every factored layer, each times factor(s, s_k) with
/// s = alpha / r and s_k = alpha / r_k. Where r_k = r they are sent as they are.
template <class T, class D, class F>
void put_leading(io::Archive& archive, Server<T, D>& server, Index client, F factor) {
  const std::vector<Index> ranks = server.ranks(client);
  auto rank = ranks.begin();
  lowrank::for_each_factored(server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
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

/// (p_k·s_k / s, A_k, B_k) of one layer for each update of the cohort, p_k = n_k / Σ n and s_k = alpha / r_k: the layer's update
/// is s·Σ weight_k·B_k·A_k. A factor that was not sent stood still and is the server's. The terms are on the host. Ranks may
/// differ. Throws DataError for factors that do not fit the layer.
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
                         : to_host(weight.a().value()),
                   has_b ? update.state.get<T>(b, {w[0], rank}) : to_host(weight.b().value())});
  }
  return all;
}

}  // namespace loru::fl
