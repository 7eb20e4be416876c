#pragma once
// The clients' products averaged whole, and factored again.

#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// s·B·A ← the best rank-r part of Σ p_k·s_k·B_k·A_k, by singular value decomposition. Client k gets the
/// leading r_k directions, which is the best rank-r_k part: s_k·B_k·A_k with B_k = √(s / s_k)·B[:, :r_k] and
/// A_k alike. Directions that the sum lacks start anew, with A's row Kaiming-uniform and B's column zero;
/// with both zero no client could learn them. If the sum R of the ranks is smaller than m and n, the product
/// is never formed: QR of the stacked factors and a decomposition of (R, R), O((m + n)·R²). Source: Bai et
/// al. (FlexLoRA), arXiv 2402.11505, section 3.
struct FlexLoRA {
  static constexpr std::string_view name = "flexlora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::broadcast, hook::fold, trait::mixed_ranks>;
  static constexpr auto fields() { return Fields{}; }

  template <class T, class D>
  void broadcast(Server<T, D>& server, io::Archive& archive, std::span<const Index> ranks) const {
    put_state(archive, server.model(), not_factor);
    put_leading(archive, server.model(), ranks, [](double s, double own) { return std::sqrt(s / own); });
  }

  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    server.renew_factors();
    get_state(cohort.mean, server.model(), not_factor);
    const rng::Stream stream(server.seed(), rng::Purpose::merge, static_cast<std::uint32_t>(server.round()));
    std::uint32_t position = 0;
    lowrank::for_each_weight<nn::Factored>(
        server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
          auto best = truncated(server, layer, weight, lowrank::stack(terms(cohort, layer, weight)));
          restart_missing(best, weight.shape(), stream.fork(++position));
          weight.a().set_value(to_device<D>(best.a));
          weight.b().set_value(to_device<D>(best.b));
        });
  }

 private:
  /// Best factors of a cohort's sum, or of the value that the server's optimizer moves to, given that sum.
  template <class T, class D>
  static lowrank::Factors<T> truncated(Server<T, D>& server, const std::string& layer,
                                       nn::Factored<T, D>& weight, const lowrank::Factors<T>& sum) {
    const double s = weight.scale();
    if (server.takes_means()) return lowrank::truncate(sum, weight.rank(), 1.0);
    const lowrank::Factors<T> own{to_host(weight.a().value()), to_host(weight.b().value())};
    return lowrank::svd_factors(
        server.optimized(layer + ".update", formed(weight, own, s), formed(weight, sum, s)), weight.rank(),
        s);
  }

  template <class T>
  static void restart_missing(lowrank::Factors<T>& f, const Shape& shape, const rng::Stream& stream) {
    const Index rank = f.a.dim(0), n = f.a.size() / rank;
    const auto fresh = to_layout(lowrank::initial_factors<T>(shape, rank, stream).a, f.a.layout());
    for (Index k = 0; k < rank; ++k) {
      T* row = f.a.data() + k * n;
      if (std::all_of(row, row + n, [](T x) { return x == T(0); })) std::copy_n(fresh.data() + k * n, n, row);
    }
  }
};

}  // namespace loru::inline LORU_ISA::fl
