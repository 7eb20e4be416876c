#pragma once
// Stacked factors: the exact mean of the clients' products.

#include <loru/fl/client/train.hpp>
#include <loru/fl/server/server.hpp>

namespace loru::inline LORU_ISA::fl {

/// W ← W + Σ p_k·s_k·B_k·A_k each round, as one product of the stacked factors A = [p_1·s_1·A_1; …] and B =
/// [B_1 B_2 …], on the server and on every client, each of its own rank; then the factors start anew. The
/// stack is sent down: (m + n)·Σ r_k numbers a layer and round, or W where that is cheaper. The new factors
/// follow from the seed and are not sent. With a server optimizer the step has full rank, and W is sent down.
/// Source: Wang et al. (FLoRA), arXiv 2409.05976, Algorithm 1.
struct FLoRA {
  static constexpr std::string_view name = "flora";
  static constexpr bool low_rank = true;
  using hooks = Hooks<hook::sends, hook::train, hook::fold, trait::mixed_ranks>;
  static constexpr auto fields() { return Fields{}; }

  bool sends(const nn::TensorId& tensor) const { return not_factor(tensor); }

  template <class T, class D>
  double train(const Turn<T, D>& turn) const {
    const auto round = static_cast<std::uint32_t>(turn.head.round);
    lowrank::restart_factors(turn.model, rng::Stream(turn.head.seed, rng::Purpose::merge, round));
    return fl::train(turn);
  }

  /// Throws ConfigError if the initial factors have a product other than zero: starting them anew would lose
  /// it.
  template <class T, class D>
  void fold(Server<T, D>& server, const Cohort& cohort) const {
    server.renew_factors();
    get_state(cohort.mean, server.model(), not_factor);
    lowrank::Products<T, D> stacks;
    std::map<std::string, Tensor<T>> updates;
    lowrank::for_each_weight<nn::Factored>(
        server.model(), [&](const std::string& layer, nn::Factored<T, D>& weight) {
          require<ConfigError>(squared_norm(weight.b().value()) == 0.0, "flora: layer ", layer,
                               ": expected factors that start with a zero product");
          const lowrank::Factors<T> sum = lowrank::stack(terms(cohort, layer, weight));
          if (server.takes_means()) return void(stacks[layer] = lowrank::to_device<D>(sum));
          const Tensor<T> mean = formed(weight, sum, weight.scale());
          const auto zero = to_layout(nn::constant<T>(mean.shape(), 0.0), mean.layout());
          updates[layer] = server.optimized(layer + ".update", zero, mean);
        });
    server.takes_means() ? server.merge(stacks) : server.merge(updates);
  }
};

}  // namespace loru::inline LORU_ISA::fl
