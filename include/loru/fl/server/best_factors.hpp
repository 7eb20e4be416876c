#pragma once
// Factors of a cohort's mean product by singular value decomposition.

#include <algorithm>
#include <cmath>

#include <loru/fl/server/terms.hpp>

namespace loru::inline LORU_ISA::fl {

/// Adds to a broadcast the state of a server whose factors come from a decomposition: client k gets the
/// leading r_k directions of s·B·A, which are its best rank-r_k part: s_k·B_k·A_k with B_k = √(s /
/// s_k)·B[:, :r_k] and A_k alike.
template <class T, class D>
void put_best(io::Archive& archive, nn::Model<T, D>& model, std::span<const Index> ranks) {
  put_state(archive, model, not_factor);
  put_leading(archive, model, ranks, [](double s, double own) { return std::sqrt(s / own); });
}

/// The best factors of that rank of s·`sum`, a cohort's mean, or of the value to which the server's optimizer
/// moves s·B·A, given that mean. Directions in descending order; where there are fewer the rest is zero.
template <class T, class D>
lowrank::Factors<T> best_factors(Server<T, D>& server, const std::string& layer, nn::Factored<T, D>& weight,
                                 const lowrank::Factors<T>& sum, Index rank) {
  const double s = weight.scale();
  if (server.takes_means()) return lowrank::truncate(sum, rank, 1.0);
  const lowrank::Factors<T> own{to_host(weight.a().value()), to_host(weight.b().value())};
  const Tensor<T> moved = server.optimized(layer + ".update", formed(weight, own, s), formed(weight, sum, s));
  const Index most = std::min(moved.dim(0), moved.size() / moved.dim(0));
  return lowrank::resized(lowrank::svd_factors(moved, std::min(rank, most), s), rank);
}

/// Directions whose row of A is zero get a Kaiming-uniform one: with row and column both zero no client could
/// learn them. `shape` is the weight's, `scale` that of a random A.
template <class T>
void restart_missing(lowrank::Factors<T>& f, const Shape& shape, const rng::Stream& stream, double scale) {
  const Index rank = f.a.dim(0), n = f.a.size() / rank;
  const auto fresh = to_layout(lowrank::initial_factors<T>(shape, rank, stream, scale).a, f.a.layout());
  for (Index k = 0; k < rank; ++k) {
    T* row = f.a.data() + k * n;
    if (std::all_of(row, row + n, [](T x) { return x == T(0); })) std::copy_n(fresh.data() + k * n, n, row);
  }
}

/// A fold: everything but factors gets its mean; in every factored layer best(layer name, weight) gives the
/// new factors, in which missing directions start anew, on stream (seed, merge, round).
template <class T, class D, class Best>
void fold_factors(Server<T, D>& server, const Cohort& cohort, Best best) {
  server.renew_factors();
  get_state(cohort.mean, server.model(), not_factor);
  const rng::Stream stream(server.seed(), rng::Purpose::merge, static_cast<std::uint32_t>(server.round()));
  std::uint32_t position = 0;
  lowrank::for_each_weight<nn::Factored>(
      server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
        lowrank::Factors<T> f = best(layer, weight);
        restart_missing(f, weight.shape(), stream.fork(++position), weight.options().init_scale);
        weight.a().set_value(to_device<D>(f.a));
        weight.b().set_value(to_device<D>(f.b));
      });
}

}  // namespace loru::inline LORU_ISA::fl
