#pragma once
// Rounds of three clients through messages, and what they come to.

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

  OneRound(nn::Model<T> start, fl::AnyAlgorithm<T> algorithm, Index rounds = 1)
      : OneRound(fl::Server<T>(start, algorithm, seed, {.clients = clients}), start, rounds) {}

  OneRound(fl::Server<T> first, nn::Model<T> start, Index rounds)
      : server{std::move(first)}, devices(clients, start) {
    const auto parts = small_parts(clients);
    for (Index round = 0; round < rounds; ++round) {
      up.clear();
      server.begin_round();
      for (Index k = 0; k < clients; ++k) {
        const auto at = static_cast<std::size_t>(k);
        const fl::Message broadcast = server.broadcast(k);
        fl::Message update = fl::answer(devices[at], broadcast, server.algorithm(), small_data().train,
                                        parts[at], momentum_client(), states[at]);
        up.push_back(payload(update));
        server.receive(std::move(update));
      }
      server.finish_round();
    }
    for (const auto& part : parts)
      shares.push_back(static_cast<double>(part.size()) / static_cast<double>(small_data().train.size()));
  }
};

/// W + Σ p_k·s·B_k·A_k of every factored layer, from the devices after training.
template <class T>
std::map<std::string, Tensor<T>> exact_weights(OneRound<T>& run, std::map<std::string, Tensor<T>> w) {
  for (std::size_t k = 0; k < run.devices.size(); ++k)
    lowrank::for_each_weight<nn::Factored>(run.devices[k], [&](const std::string& layer, nn::Factored<T>& f) {
      w[layer] = lowrank_compose(w.at(layer), f.a().value(), f.b().value(), run.shares[k] * f.scale());
    });
  return w;
}

template <class T>
void require_close(const std::map<std::string, Tensor<T>>& got,
                   const std::map<std::string, Tensor<T>>& expected, double error) {
  REQUIRE(got.size() == expected.size());
  REQUIRE(!got.empty());
  for (const auto& [layer, w] : expected) {
    INFO(layer);
    CHECK(difference(got.at(layer), w) < error);
  }
}

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

  Federation(nn::Model<T> start, fl::AnyAlgorithm<T> a, fl::ClientOptions o = momentum_client())
      : algorithm{a}, options{o}, server{start, a, seed, {.clients = clients}}, devices(clients, start) {}

  void round() {
    up.clear();
    down.clear();
    server.begin_round();
    for (Index k = 0; k < clients; ++k) {
      const auto at = static_cast<std::size_t>(k);
      const fl::Message broadcast = server.broadcast(k);
      fl::Message update =
          fl::answer(devices[at], broadcast, algorithm, small_data().train, parts[at], options, states[at]);
      down.push_back(payload(broadcast));
      up.push_back(payload(update));
      server.receive(std::move(update));
    }
    server.finish_round();
  }
};

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
