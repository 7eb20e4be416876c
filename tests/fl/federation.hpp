#pragma once
// Small federations for tests.
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include <loru/data/synthetic.hpp>
#include <loru/fl/fl.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/train.hpp>

#include "double.hpp"
#include "support/catch.hpp"
#include "support/tensors.hpp"

namespace loru_test {

/// A place for files, which goes with them.
struct Folder {
  std::filesystem::path path = std::filesystem::temp_directory_path() /
                               concat("loru-fl-", ::getpid(), '-', reinterpret_cast<std::uintptr_t>(this));
  ~Folder() { std::filesystem::remove_all(path); }
};

/// The tensors of a model that its algorithm leaves as they are, by name: W and fixed factors.
template <class T>
std::map<std::string, Tensor<T>> frozen(nn::Model<T>& model) {
  std::map<std::string, Tensor<T>> found;
  for (const auto& p : model.parameters())
    if (p.role == nn::Role::frozen) found[p.name] = p.value.value();
  REQUIRE(!found.empty());
  return found;
}

template <class T>
bool same(const std::map<std::string, Tensor<T>>& a, const std::map<std::string, Tensor<T>>& b) {
  return std::ranges::equal(
      a, b, [](const auto& x, const auto& y) { return x.first == y.first && same_bits(x.second, y.second); });
}

const data::Split& small_data();

/// Clients of different sizes.
data::Partition small_parts(Index clients);

/// The client's share of the samples, n_k / Σ n.
double small_share(Index clients, Index client);

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

fl::ClientOptions momentum_client();

/// Whether an algorithm refuses clients of ranks of their own: its weights have no leading directions.
constexpr bool refuses_ranks(std::string_view algorithm) {
  return algorithm == "fedpara" || algorithm == "fedmud" || algorithm == "fed_sb";
}

/// Bytes of a message's tensors.
std::size_t payload(const fl::Message& message);

/// The message changed by f.
template <class F>
fl::Message changed(const fl::Message& message, F f) {
  io::Archive archive = io::parse(std::span(message));
  f(archive);
  return io::serialise(archive);
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

#define LORU_TEST_MODELS(TEMPLATE, T)                                      \
  TEMPLATE nn::Model<T> small_model<T>(std::string_view);                  \
  TEMPLATE nn::Model<T> small_factored<T>(std::string_view, double);       \
  TEMPLATE fl::Message bits(nn::Model<T>&);                                \
  TEMPLATE std::map<std::string, Tensor<T>> frozen_weights(nn::Model<T>&); \
  TEMPLATE void require_same_weights(nn::Model<T>&, nn::Model<T>&);
LORU_TEST_MODELS(extern template, float)
LORU_TEST_MODELS(extern template, double)

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
