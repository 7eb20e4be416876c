#pragma once
// A federation of two clients that is as small as it can be and has every kind of tensor.

#include <loru/fl/algorithms/fedloru.hpp>
#include <loru/fl/algorithms/hetlora.hpp>
#include <loru/fl/client/turn.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/nn/models/options.hpp>

namespace fuzz {

using namespace loru;

/// 6-8-8-3, the layer in the middle with factors of rank 2.
inline nn::Model<float> model() {
  const nn::ModelOptions o{.seed = 3};
  nn::detail::Builder<float, Cpu> b(o);
  nn::Sequential<float> s;
  s.add("flatten", nn::Flatten<float>());
  s.add("fc1", b.linear(6, 8)).add("relu", nn::ReLU<float>());
  s.add("fc2", b.linear(8, 8)).add("fc3", b.linear(8, 3));
  nn::Model<float> model = std::move(s);
  lowrank::factorize(model, {.rank = 2, .layers = {"fc2"}});
  return model;
}

inline const data::Dataset& samples() {
  static const data::Dataset set = [] {
    data::Dataset d{"fuzz", {1, 1, 6}, 3, std::vector<std::uint8_t>{}, {}, {}, {1.0 / 255.0, {}, {}}};
    for (int i = 0; i < 24; ++i) std::get<0>(d.features).push_back(static_cast<std::uint8_t>(37 * i));
    d.labels() = {0, 1, 2, 0};
    return d;
  }();
  return set;
}

/// An algorithm and the code of its messages both ways.
struct SetUp {
  fl::AnyAlgorithm<float> algorithm;
  fl::Code code;
};

/// FedLoRU that merges every round, so that broadcasts carry merges, and HetLoRA, whose broadcasts carry
/// ranks.
inline const std::vector<SetUp>& set_ups() {
  using enum fl::Code;
  static const fl::AnyAlgorithm<float> fedloru = fl::FedLoRU{.tau = 1}, hetlora = fl::HetLoRA{};
  static const std::vector<SetUp> all{{fedloru, none},  {fedloru, fp16}, {fedloru, bf16}, {fedloru, int8},
                                      {fedloru, top_k}, {hetlora, none}, {hetlora, int8}};
  return all;
}

/// The one that the first byte says.
inline std::size_t set_up_of(Bytes bytes) {
  return std::to_integer<std::size_t>(bytes[0]) % set_ups().size();
}

/// A server of clients of ranks 2 and 1 under hetlora, of rank 2 otherwise.
inline fl::Server<float> server(const fl::AnyAlgorithm<float>& algorithm, fl::Code code) {
  fl::ServerOptions options{.codecs = {.uplink = code, .downlink = code, .keep = 0.25}};
  if (algorithm.name == "hetlora") options.ranks = fl::ClientRanks({2, 1});
  return {model(), algorithm, 5, std::move(options)};
}

/// The client's answer with one step on all samples.
inline fl::Message answer(nn::Model<float>& model, Bytes broadcast, const fl::AnyAlgorithm<float>& algorithm,
                          io::Archive& state) {
  static const std::vector<Index> all{0, 1, 2, 3};
  static const fl::ClientOptions options{.batch = 4, .optimizer = {.learning_rate = 0.1}};
  return fl::answer(model, broadcast, algorithm, samples(), all, options, state);
}

/// Names, shapes and bytes of the model's tensors.
inline fl::Message bits(nn::Model<float>& model) {
  io::Archive all("model");
  for (const auto& t : model.state()) all.put(t.name, t.value);
  for (const auto& p : model.parameters())
    if (!p.value.requires_grad()) all.put(p.name, p.value.value());
  return io::serialise(all);
}

}  // namespace fuzz
