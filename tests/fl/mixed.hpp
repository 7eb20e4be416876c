#pragma once
// Federations of clients of different ranks, for tests.

#include "federation.hpp"

namespace loru_test {

using Ranks = std::vector<Index>;

/// Rounds of three clients of ranks 1, 2 and 4 through messages, in layers of rank 4.
template <class T>
struct Mixed {
  static constexpr std::uint64_t seed = 5;
  fl::AnyAlgorithm<T> algorithm;
  fl::Server<T> server;
  std::vector<nn::Model<T>> devices;
  std::vector<double> shares;  // n_k / Σ n

  Mixed(nn::Model<T> start, fl::AnyAlgorithm<T> a, Ranks budgets = {1, 2, 4}, fl::ServerOptimizer o = {})
      : algorithm{a},
        server{start, a, seed, {.ranks = fl::ClientRanks(std::move(budgets)), .optimizer = o}},
        devices(3, start) {
    for (const auto& part : small_parts(3))
      shares.push_back(static_cast<double>(part.size()) / static_cast<double>(small_data().train.size()));
  }

  void round() {
    const auto parts = small_parts(3);
    server.begin_round();
    for (Index k = 0; k < 3; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);
      server.receive(
          fl::answer(devices[at], broadcast, algorithm, small_data().train, parts[at], momentum_client()));
    }
    server.finish_round();
  }
};

template <class T>
nn::Model<T> rank_four(std::string_view name = "mlp") {
  auto model = small_model<T>(name);
  lowrank::factorize(model, {.rank = 4, .alpha = 3.0, .small_layers = lowrank::SmallLayers::factor});
  return model;
}

}  // namespace loru_test
