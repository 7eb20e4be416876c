#pragma once
// Replacing the parametrisation of chosen layers by W + s·(B·A_0 + B_0·A).

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/aggregation_aware.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// Gives every layer that the options choose the weight W + s·(B·A_0 + B_0·A) with W, A_0 and B_0 frozen, the
/// latter uniform within ±bound; the effective weights stay the same. Returns the layers' names. Throws
/// ConfigError, and changes nothing, as factorize() does, and for start = svd.
template <class T, class D>
std::vector<std::string> factorize_aggregation_aware(nn::Model<T, D>& model, const FactorizeOptions& o,
                                                     double bound) {
  require<ConfigError>(o.start == Start::zero,
                       "factorize: start: expected zero for factors beside fixed ones");
  return detail::replace_chosen(
      model, o, [&](const Variable<T, D>& w, Index rank, const rng::Stream& stream) {
        return nn::AggregationAware<T, D>(w, rank, detail::factor_options<T, D>(o, rank), bound, stream);
      });
}

}  // namespace loru::inline LORU_ISA::lowrank
