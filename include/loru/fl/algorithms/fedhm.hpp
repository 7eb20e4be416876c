#pragma once
// Full weights on the server, their truncated decompositions on the clients.

#include <loru/fl/server/server.hpp>
#include <loru/lowrank/product.hpp>

namespace loru::inline LORU_ISA::fl {

/// The server keeps W; client k gets its truncated singular value decomposition W ≈ (U·√Σ)·(√Σ·Vᵀ) at rank
/// r_k, trains the two factors, and W ← Σ p_k·U_k·V_k, whose rank may be the sum of theirs. Convolutions are
/// decomposed as matrices (m·kh, kw·Cin). Source: Yao et al. (FedHM), arXiv 2111.14655.
struct FedHM {
  static constexpr std::string_view name = "fedhm";
  static constexpr bool low_rank = true;
  using hooks =
      Hooks<hook::parametrise, hook::suits, hook::shape, hook::broadcast, hook::fold, trait::mixed_ranks>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  std::vector<std::string> parametrise(nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) const {
    return lowrank::factorize_product(model, o);
  }

  template <class T, class D>
  bool suits(nn::Weight<T, D>& weight) const {
    return weight.template as<nn::LowRankProduct<T, D>>() != nullptr;
  }

  template <class T, class D>
  void shape(nn::Model<T, D>& model, std::span<const Index> ranks) const {
    lowrank::set_product_ranks(model, ranks);
  }

  /// The server's factors stand in descending order: the leading ones are the decomposition at a smaller
  /// rank.
  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, std::span<const Index> ranks) const {
    put_state(archive, server.model(), not_factor);
    auto rank = ranks.begin();
    lowrank::for_each_weight<nn::LowRankProduct>(
        server.model(), [&](const std::string& layer, nn::LowRankProduct<T, D>& w) {
          const lowrank::Factors<T> f{to_host(w.v().value()), to_host(w.u().value())};
          const auto own = lowrank::resized(f, *rank++);
          archive.share(nn::product_name(layer, nn::Role::up), own.b);
          archive.share(nn::product_name(layer, nn::Role::down), own.a);
        });
  }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    server.renew_factors();
    get_state(cohort.mean, server.model(), not_factor);
    lowrank::for_each_weight<nn::LowRankProduct>(
        server.model(), [&](const std::string& layer, nn::LowRankProduct<T, D>& w) {
          const auto sum = lowrank::stack(product_terms<T>(cohort, layer));
          const Tensor<T> mean = matmul(sum.b, sum.a, {});
          lowrank::set_whole(w, server.optimized(nn::weight_name(layer), lowrank::whole_matrix(w), mean));
        });
  }
};

}  // namespace loru::inline LORU_ISA::fl
