// A few steps of a small network with a factored convolution, as a hash of the bits that it has then.

#include <cstdint>

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/models/cnn.hpp>
#include <loru/autograd/functions/loss.hpp>
#include <loru/optim/sgd.hpp>

std::uint64_t TRAINED_FOR() {
  using namespace loru;
  auto model = nn::cnn<float>({.channels = 1, .height = 12, .width = 12, .classes = 4});
  lowrank::factorize(model, {.rank = 8, .layers = {"conv2", "fc1"}});
  Tensor<float> x(Shape{8, 1, 12, 12}, Layout::channels_last);
  Tensor<std::int32_t> labels(Shape{8});
  rng::Stream stream(1, rng::Purpose::synthetic);
  for (float& value : x.span()) value = static_cast<float>(stream.normal());
  for (Index i = 0; i < 8; ++i) labels.data()[i] = static_cast<std::int32_t>(i % 4);

  std::vector<Variable<float>> trained;
  for (const auto& parameter : model.trained_parameters()) trained.push_back(parameter.value);
  optim::Sgd<float> optimizer(trained, {.momentum = 0.9});
  for (int step = 0; step < 3; ++step) {
    cross_entropy(model(Variable<float>(x)), labels).backward();
    optimizer.step(0.1);
    optimizer.clear_gradients();
  }
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const auto& parameter : model.parameters())
    for (const std::byte byte : std::as_bytes(parameter.value.value().span()))
      hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211u;
  return hash;
}
