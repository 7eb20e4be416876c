#pragma once
// Replacing the parametrisation of chosen layers by a Hadamard product of two low-rank matrices.

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/hadamard.hpp>

namespace loru::inline LORU_ISA::lowrank {

namespace detail {

/// Normal values of the given variance on the host.
template <class T>
Tensor<T> normal(const Shape& shape, double variance, rng::Stream stream) {
  Tensor<T> t(shape);
  const double deviation = std::sqrt(variance);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = T(static_cast<Real<T>>(deviation * stream.normal()));
  return t;
}

/// One W_i whose elements have the given variance. With v the variance of the elements of its factors, the
/// variance of W_i is R·v² for B·A and R²·v³ for T ×_1 B ×_2 A.
template <class T, class D>
typename nn::Hadamard<T, D>::Part hadamard_part(const Shape& w, Index rank, double variance,
                                                const rng::Stream& stream) {
  const bool convolution = w.rank() == 4;
  const auto r = static_cast<double>(rank);
  const double v = convolution ? std::cbrt(variance / (r * r)) : std::sqrt(variance / r);
  const auto draw = [&](const Shape& shape, std::uint32_t number) {
    return loru::to_device<D>(to_layout(normal<T>(shape, v, stream.fork(number)), Layout::channels_last));
  };
  typename nn::Hadamard<T, D>::Part part;
  part.a = draw(convolution ? Shape{w[1], rank, 1, 1} : Shape{rank, w[1]}, 0);
  part.b = draw({w[0], rank}, 1);
  if (convolution) part.core = draw({rank, rank, w[2], w[3]}, 2);
  return part;
}

}  // namespace detail

/// Replaces the weight of every layer that `o.layers` chooses by W_1 ⊙ (W_2 + c) of inner rank `o.rank` or
/// `o.ranks`, c = 1 if personal and else 0, and returns their names. The weights are drawn anew. Those of W
/// have He's variance by outputs, 2 / (m·kh·kw) (He et al. 2015), as a product of two with equal variances;
/// if personal, W_1 and W_2 each have He's variance. A layer may be chosen in which 2·R·(m + n) is more
/// numbers than W has. A layer of min(m, n) < R: see FactorizeOptions::small_layers. Throws ConfigError, and
/// changes nothing, for rank < 1, a rank above a layer's, a pattern without a layer, and a layer that is not
/// dense. Source: Hyeon-Woo et al. (FedPara), arXiv 2108.06098.
template <class T, class D>
std::vector<std::string> factorize_hadamard(nn::Model<T, D>& model, const FactorizeOptions& o,
                                            bool personal) {
  check_fields(o, "factorize_hadamard");
  const std::map<std::string, Index> ranks = detail::chosen_ranks(detail::chosen_layers(model, o), o);
  std::vector<std::string> names;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    if (!ranks.contains(name) || !detail::wide_enough(name, weight.shape(), ranks.at(name), o)) return;
    require<ConfigError>(weight.template as<nn::Dense<T, D>>() != nullptr, "factorize_hadamard: layer ", name,
                         ": expected a dense weight");
    names.push_back(name);
  }});
  const rng::Stream stream(o.seed, rng::Purpose::merge);
  std::uint32_t position = 0;
  model.visit({.weight = [&](const std::string& name, nn::Weight<T, D>& weight) {
    const rng::Stream own = stream.fork(++position);
    if (std::find(names.begin(), names.end(), name) == names.end()) return;
    const Shape w = weight.shape();
    const double he = 2.0 / nn::Fan(w).out, variance = personal ? he : std::sqrt(he);
    weight = nn::Weight<T, D>(
        nn::Hadamard<T, D>(w, detail::hadamard_part<T, D>(w, ranks.at(name), variance, own.fork(0)),
                           detail::hadamard_part<T, D>(w, ranks.at(name), variance, own.fork(1)), personal));
  }});
  return names;
}

}  // namespace loru::inline LORU_ISA::lowrank
