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

  Mixed(nn::Model<T> start, fl::AnyAlgorithm<T> a, Ranks budgets = {1, 2, 4}, fl::ServerOptimizer o = {});

  void round();
};

template <class T>
nn::Model<T> rank_four(std::string_view name = "mlp");

extern template struct Mixed<float>;
extern template struct Mixed<double>;
extern template nn::Model<float> rank_four<float>(std::string_view);
extern template nn::Model<double> rank_four<double>(std::string_view);

}  // namespace loru_test
