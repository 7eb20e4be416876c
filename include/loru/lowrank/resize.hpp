#pragma once
// Factors of another rank.

#include <span>

#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// The first `rank` rows of A; where there are fewer, zeros follow. Throws ConfigError for rank < 1.
template <std::floating_point T>
Tensor<T> resized_a(const Tensor<T>& a, Index rank) {
  require<ConfigError>(rank >= 1, "resized: expected rank >= 1, got ", rank);
  Tensor<T> resized(factor_shape(a.shape(), rank), a.layout());
  const Index kept = std::min(a.size(), resized.size());
  std::fill_n(std::copy_n(a.data(), kept, resized.data()), resized.size() - kept, T(0));
  return resized;
}

/// The first `rank` columns of c·B; where there are fewer, zeros follow.
template <std::floating_point T>
Tensor<T> resized_b(const Tensor<T>& b, Index rank, double c = 1.0) {
  require<ConfigError>(rank >= 1, "resized: expected rank >= 1, got ", rank);
  const Index m = b.dim(0), had = b.dim(1), kept = std::min(had, rank);
  Tensor<T> resized(Shape{m, rank});
  for (Index i = 0; i < m; ++i)
    std::fill_n(std::transform(b.data() + i * had, b.data() + i * had + kept, resized.data() + i * rank,
                               [c](T x) { return static_cast<T>(c) * x; }),
                rank - kept, T(0));
  return resized;
}

/// Both factors resized.
template <std::floating_point T>
Factors<T> resized(const Factors<T>& f, Index rank) {
  return {resized_a(f.a, rank), resized_b(f.b, rank)};
}

/// Rows first .. last − 1 of A and these columns of B.
template <std::floating_point T>
Factors<T> directions(const Factors<T>& f, Index first, Index last) {
  const Index rank = f.a.dim(0), count = last - first, n = f.a.size() / rank, m = f.b.dim(0);
  Factors<T> part{Tensor<T>(factor_shape(f.a.shape(), count), f.a.layout()), Tensor<T>(Shape{m, count})};
  std::copy_n(f.a.data() + first * n, count * n, part.a.data());
  for (Index i = 0; i < m; ++i) std::copy_n(f.b.data() + i * rank + first, count, part.b.data() + i * count);
  return part;
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

/// Gives the factored layers these ranks, in the model's order; alpha stays, so that s = alpha / r. A layer
/// that goes from rank r to r' has A[:r'] and (r' / r)·B[:, :r'], so that s'·B'·A' are the leading directions
/// of s·B·A; where r' > r zeros follow. Throws ConfigError, and changes nothing, for another number of ranks
/// or a rank < 1.
template <class T, class D>
void set_ranks(nn::Model<T, D>& model, std::span<const Index> wanted) {
  std::size_t layers = 0;
  for_each_weight<nn::Factored>(model, [&](const std::string&, auto&) { ++layers; });
  require<ConfigError>(wanted.size() == layers, "set_ranks: expected ", layers, " ranks, got ",
                       wanted.size());
  for (const Index rank : wanted)
    require<ConfigError>(rank >= 1, "set_ranks: expected ranks >= 1, got ", rank);
  auto rank = wanted.begin();
  for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<T, D>& weight) {
    const Index r = *rank++;
    if (r == weight.rank()) return;
    const double c = static_cast<double>(r) / static_cast<double>(weight.rank());
    weight.set_factors(loru::to_device<D>(resized_a(to_host(weight.a().value()), r)),
                       loru::to_device<D>(resized_b(to_host(weight.b().value()), r, c)));
  });
}

}  // namespace loru::inline LORU_ISA::lowrank
