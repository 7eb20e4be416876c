#pragma once
// Factors of another rank.

#include <span>

#include <loru/lowrank/merge.hpp>

namespace loru::lowrank {

/// The first `rank` rows of A and columns of B; where there are fewer, zeros follow. Throws ConfigError for rank < 1.
template <std::floating_point T>
Factors<T> resized(const Factors<T>& f, Index rank) {
  require<ConfigError>(rank >= 1, "resized: expected rank >= 1, got ", rank);
  const Index m = f.b.dim(0), had = f.b.dim(1), kept = std::min(had, rank), n = f.a.size() / had;
  Factors<T> g{Tensor<T>(factor_shape(f.a.shape(), rank), f.a.layout()), Tensor<T>(Shape{m, rank})};
  std::fill_n(std::copy_n(f.a.data(), kept * n, g.a.data()), (rank - kept) * n, T(0));
  for (Index i = 0; i < m; ++i)
    std::fill_n(std::copy_n(f.b.data() + i * had, kept, g.b.data() + i * rank), rank - kept, T(0));
  return g;
}

/// Ranks of the layers that have factors, in the model's order.
template <class T, class D>
std::vector<Index> ranks(nn::Model<T, D>& model) {
  std::vector<Index> all;
  model.visit({.weight = [&](const std::string&, nn::Weight<T, D>& weight) {
    if (weight.rank() > 0) all.push_back(weight.rank());
  }});
  return all;
}

/// Gives the factored layers these ranks, in the model's order; alpha stays, so that s = alpha / r. A layer that
/// changes its rank gets zero factors. Throws ConfigError, and changes nothing, for another number of ranks or a
/// rank < 1.
template <class T, class D>
void set_ranks(nn::Model<T, D>& model, std::span<const Index> wanted) {
  std::size_t layers = 0;
  for_each_factored(model, [&](const std::string&, auto&) { ++layers; });
  require<ConfigError>(wanted.size() == layers, "set_ranks: expected ", layers, " ranks, got ",
                       wanted.size());
  for (const Index rank : wanted)
    require<ConfigError>(rank >= 1, "set_ranks: expected ranks >= 1, got ", rank);
  auto rank = wanted.begin();
  for_each_factored(model, [&](const std::string&, nn::Factored<T, D>& weight) {
    const Index r = *rank++;
    if (r == weight.rank()) return;
    Tensor<T, D> a(factor_shape(weight.shape(), r), weight.a().value().layout()),
        b(Shape{weight.shape()[0], r});
    fill(a, T(0));
    fill(b, T(0));
    weight.set_factors(a, b);
  });
}

}  // namespace loru::lowrank
