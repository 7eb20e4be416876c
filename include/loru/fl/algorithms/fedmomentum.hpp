#pragma once
// The clients' products averaged whole: the leading directions go on as factors, the others join the weight.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// M = Σ p_k·s_k·B_k·A_k = U·Σ·Vᵀ, exactly. The leading r triplets become the factors, B = U_r·√(Σ_r / s),
/// A = √(Σ_r / s)·V_rᵀ, so that s·B·A is the best rank-r part of M and clients go on from it; the residual
/// M − s·B·A joins W. The effective weight is W + M: nothing is lost, and nothing that was learnt starts
/// anew. With energy < 1 only so many residual triplets join W that the squares of all that stay reach that
/// share of ‖M‖²_F; with 0 none do. The residual goes down factored, with rank up to min(m, n, Σ r_k) − r.
/// Directions that M lacks start anew, as FlexLoRA's.
///
/// Source: Yan et al. (FedMomentum), arXiv 2603.08014, of which the abstract could be read: exact mean,
/// SVD, the same rank rebuilt from the dominant components, the residual "merged into the backbone". From a
/// public implementation that is not the authors' (weizimei24/FedLLM-Factory-main at 9dacab1,
/// alg/fedmomentum.py): √Σ on both factors, and the share of energy, there 0.9999. Inferred: the residual
/// joins at the end of each round, and with the scale s. Their decomposition is randomised, this one is
/// not.
struct FedMomentum {
  double energy = 1.0;

  static constexpr std::string_view name = "fedmomentum";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::fold>;
  static constexpr auto fields() {
    return Fields{field("energy", &FedMomentum::energy, range::share,
                        "share of the mean product's squared singular values that stays; 1: all of it")};
  }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    lowrank::Products<T, D> residuals;
    bool any = false;
    fold_factors(server, cohort, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      const Shape w = weight.shape();
      const Index r = weight.rank(), most = std::min(w[0], weight.a().value().size() / r);
      const auto all = best_factors(server, layer, weight, lowrank::stack(terms(cohort, layer, weight)),
                                    std::max(most, r + 1));
      const Index stays = std::max(staying(all), r), padded = std::max(stays, r + 1);
      const auto rest =
          lowrank::directions(lowrank::resized(lowrank::resized(all, stays), padded), r, padded);
      residuals[layer] = lowrank::to_device<D>(rest);  // a direction of zeros where there is none
      any |= stays > r;
      return lowrank::resized(all, r);
    });
    if (any) server.merge(residuals);
  }

 private:
  /// How many of the leading directions stay. The squared norm of a row of A is its singular value.
  template <class T>
  Index staying(const lowrank::Factors<T>& f) const {
    const Index count = f.a.dim(0), n = f.a.size() / count;
    std::vector<double> squares(static_cast<std::size_t>(count));
    double total = 0.0;
    for (Index i = 0; i < count; ++i) {
      double value = 0.0;
      for (Index j = 0; j < n; ++j) value += std::pow(static_cast<double>(f.a.data()[i * n + j]), 2);
      total += squares[static_cast<std::size_t>(i)] = value * value;
    }
    Index kept = count;
    for (double lost = 0.0; kept > 0; --kept)
      if ((lost += squares[static_cast<std::size_t>(kept - 1)]) > (1.0 - energy) * total) break;
    return kept;
  }
};

}  // namespace loru::inline LORU_ISA::fl
