#pragma once
// Small federations for tests.

#include <cstring>

#include <loru/data/partition/quantity.hpp>
#include <loru/data/synthetic.hpp>
#include <loru/fl/fl.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/train.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

namespace loru_test {

inline const data::Split& small_data() {
  static const data::Split split = data::synthetic({.classes = 4, .train = 96, .test = 40});
  return split;
}

/// Clients of different sizes.
inline data::Partition small_parts(Index clients) {
  return data::quantity(small_data().train, {.clients = clients, .skew = 0.7});
}

template <class T>
nn::Model<T> small_model(std::string_view name = "mlp") {
  return nn::build<T>(name, {.height = 8, .width = 8, .classes = 4, .seed = 3, .narrow = 16});
}

/// The layers between the first and the last factorised: fc2 of the mlp, the stages of resnet10.
template <class T>
nn::Model<T> small_factored(std::string_view name = "mlp", double dropout = 0.0) {
  auto model = small_model<T>(name);
  lowrank::factorize(model, {.rank = 2, .alpha = 3.0, .dropout = dropout});
  return model;
}

inline fl::ClientOptions momentum_client() {
  return {
      .epochs = 2, .batch = 5, .optimizer = {.learning_rate = 0.02, .momentum = 0.9, .weight_decay = 1e-3}};
}

/// Bytes of a message's tensors.
inline std::size_t payload(const fl::Message& message) {
  std::uint64_t length = 0;
  std::memcpy(&length, message.data(), sizeof length);
  return message.size() - sizeof length - length;
}

/// Every bit of the model: weights, factors, statistics.
template <class T, class D>
fl::Message bits(nn::Model<T, D>& model) {
  return io::serialise(io::to_archive(model));
}

template <class T>
std::map<std::string, Tensor<T>> frozen_weights(nn::Model<T>& model) {
  std::map<std::string, Tensor<T>> weights;
  lowrank::for_each_weight<nn::Factored>(
      model, [&](const std::string& name, nn::Factored<T, Cpu>& w) { weights[name] = w.base().value(); });
  return weights;
}

template <class T>
void require_same_weights(nn::Model<T>& a, nn::Model<T>& b) {
  const auto x = frozen_weights(a), y = frozen_weights(b);
  REQUIRE(x.size() == y.size());
  for (const auto& [name, w] : x) {
    INFO(name);
    REQUIRE(same_bits(w, y.at(name)));
  }
}

/// Text of the exception E that f throws.
template <class E, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "nothing was thrown";
}

}  // namespace loru_test
