#pragma once
// Factors nested in factors, for clients that train less than the full rank.

#include <span>

#include <loru/lowrank/merge.hpp>
#include <loru/nn/nested.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// Inner factors whose products are zero: A_u and B_d Kaiming-uniform from the stream, A_d and B_u zero. `a`
/// and `b` are the outer factors' shapes.
template <class T, class D>
typename nn::Nested<T, D>::Inner initial_inner(const Shape& a, const Shape& b, Index rank,
                                               const rng::Stream& stream) {
  const auto of_a = to_device<D>(initial_factors<T>(a, rank, stream.fork(0)));
  const auto of_b = to_device<D>(initial_factors<T>(b, rank, stream.fork(1)));
  return {of_a.b, of_a.a, of_b.b, of_b.a};
}

/// Changes the factored and nested layers of the model to those of a client with these ranks, in the model's
/// order. Where the client's rank is at least the layer's, the factors themselves are trained. Elsewhere
/// factors of the client's rank are nested in them, with products of zero. Throws DataError for another
/// number of ranks.
template <class T, class D>
void set_inner_ranks(nn::Model<T, D>& model, std::span<const Index> ranks) {
  std::size_t next = 0;
  for_each_weight<nn::Factored, nn::Nested>(model, [&](const std::string&, auto&) { ++next; });
  require<DataError>(ranks.size() == next, "set_inner_ranks: expected ", next, " ranks, got ", ranks.size());
  next = 0;
  model.visit({.weight = [&](const std::string&, nn::Weight<T, D>& weight) {
    auto* factored = weight.template as<nn::Factored<T, D>>();
    auto* nested = weight.template as<nn::Nested<T, D>>();
    if (!factored && !nested) return;
    const Index rank = ranks[next++], full = factored ? factored->rank() : nested->rank();
    if (nested && nested->inner_rank() == rank) return;
    if (nested) weight = nn::Weight<T, D>(nested->outer());
    if (rank >= full) return;
    auto& outer = *weight.template as<nn::Factored<T, D>>();
    const auto inner = initial_inner<T, D>(outer.a().shape(), outer.b().shape(), rank, rng::Stream(0));
    weight = nn::Weight<T, D>(nn::Nested<T, D>(outer, inner));
  }});
}

}  // namespace loru::inline LORU_ISA::lowrank
