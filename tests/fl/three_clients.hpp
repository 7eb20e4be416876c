#pragma once
// Rounds of three clients through messages, and what they come to.

#include <loru/lowrank/rank.hpp>

#include "federation.hpp"

namespace loru_test {

inline constexpr std::uint64_t seed = 5;
inline constexpr Index clients = 3;

/// A round of three clients through messages, and what each of them came to.
template <class T>
struct OneRound {
  fl::Server<T> server;
  std::vector<nn::Model<T>> devices;
  std::vector<io::Archive> states{clients};
  std::vector<double> shares;   // n_k / Σ n
  std::vector<std::size_t> up;  // bytes of the tensors that each sent in the last round

  OneRound(nn::Model<T> start, fl::AnyAlgorithm<T> algorithm, Index rounds = 1);
  OneRound(fl::Server<T> first, nn::Model<T> start, Index rounds);
};

/// W + Σ p_k·s·B_k·A_k of every factored layer, from the devices after training.
template <class T>
std::map<std::string, Tensor<T>> exact_weights(OneRound<T>& run, std::map<std::string, Tensor<T>> w);

/// Σ p_k·W_k of the devices' effective weights: the exact mean of what the clients came to in the last round.
template <class T>
std::map<std::string, Tensor<T>> mean_weights(OneRound<T>& run) {
  std::map<std::string, Tensor<T>> mean;
  for (std::size_t k = 0; k < run.devices.size(); ++k)
    for (const auto& [layer, w] : lowrank::effective_weights(run.devices[k])) {
      if (k == 0) mean[layer] = to_layout(nn::constant<T>(w.shape(), 0.0), w.layout());
      add_scaled(mean.at(layer), static_cast<T>(run.shares[k]), w);
    }
  return mean;
}

template <class T>
void require_close(const std::map<std::string, Tensor<T>>& got,
                   const std::map<std::string, Tensor<T>>& expected, double error);

/// Bytes of the tensors of the state that the selection chooses.
inline std::size_t chosen_bytes(nn::Model<float>& model, const fl::Selection& selection) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor, role] : model.state())
    if (fl::chosen(selection, {name, role})) bytes += static_cast<std::size_t>(tensor.size()) * sizeof(float);
  return bytes;
}

template <class T>
std::size_t state_bytes(nn::Model<T>& model, const fl::Selection& selection = {}, bool buffers = true) {
  std::size_t bytes = 0;
  for (const auto& [name, tensor, role] : model.state())
    if (fl::chosen(selection, {name, role})) bytes += static_cast<std::size_t>(tensor.size()) * sizeof(T);
  if (!buffers)
    for (const auto& [name, tensor, role] : model.buffers())
      bytes -= static_cast<std::size_t>(tensor.size()) * sizeof(T);
  return bytes;
}

/// Rounds of three clients through messages; all of them take part.
template <class T>
struct Federation {
  fl::AnyAlgorithm<T> algorithm;
  fl::ClientOptions options;
  data::Partition parts = small_parts(clients);
  fl::Server<T> server;
  std::vector<nn::Model<T>> devices;
  std::vector<io::Archive> states{clients};
  std::vector<std::size_t> up, down;

  Federation(nn::Model<T> start, fl::AnyAlgorithm<T> a, fl::ClientOptions o = momentum_client());

  void round();
};

#define LORU_TEST_THREE_CLIENTS(TEMPLATE, T)                                                               \
  TEMPLATE struct OneRound<T>;                                                                             \
  TEMPLATE std::map<std::string, Tensor<T>> exact_weights(OneRound<T>&, std::map<std::string, Tensor<T>>); \
  TEMPLATE void require_close(const std::map<std::string, Tensor<T>>&,                                     \
                              const std::map<std::string, Tensor<T>>&, double);                            \
  TEMPLATE struct Federation<T>;
LORU_TEST_THREE_CLIENTS(extern template, float)
LORU_TEST_THREE_CLIENTS(extern template, double)

inline fl::SimulationOptions simulated(Index threads, std::shared_ptr<fl::ClientStore> store = {}) {
  return {.cohort = 3,
          .client = momentum_client(),
          .seed = seed,
          .threads = threads,
          .eval_every = 0,
          .store = std::move(store)};
}

inline double loss_of(nn::Model<double>& model, std::span<const Index> samples) {
  WorkerPool pool(1);
  return train::evaluate(model, small_data().train, samples, pool).loss;
}

}  // namespace loru_test
