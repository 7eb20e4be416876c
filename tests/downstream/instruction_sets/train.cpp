// A few steps of a small factored network with a convolution, as a hash of the bits that its factors have
// then.

#include <cstdint>

#include <loru/autograd/autograd.hpp>
#include <loru/lowrank/planner.hpp>
#include <loru/optim/sgd.hpp>

namespace {

using namespace loru;

Variable<float> normal(const Shape& shape, std::uint32_t number, bool trained) {
  Tensor<float> values(shape, shape.rank() == 4 ? Layout::channels_last : Layout::row_major);
  rng::Stream stream = rng::Stream(1, rng::Purpose::synthetic).fork(number);
  for (float& value : values.span()) value = static_cast<float>(0.2 * stream.normal());
  return Variable<float>(values, trained);
}

std::uint64_t train() {
  const auto x = normal({8, 16, 12, 12}, 0, false), w1 = normal({16, 16, 3, 3}, 1, false),
             a1 = normal({8, 16, 3, 3}, 2, true), b1 = normal({16, 8}, 3, true),
             w2 = normal({10, 16 * 144}, 4, false), a2 = normal({4, 16 * 144}, 5, true),
             b2 = normal({10, 4}, 6, true);
  Tensor<std::int32_t> labels(Shape{8});
  for (Index i = 0; i < 8; ++i) labels.data()[i] = static_cast<std::int32_t>(i);
  const Plan convolution = lowrank::choose({.rows = 8 * 144,
                                            .in = 16 * 9,
                                            .out = 16,
                                            .rank = 8,
                                            .input_gradient = false,
                                            .convolution = true,
                                            .kernel = 3,
                                            .padding = 1,
                                            .height = 12,
                                            .width = 12}),
             dense = lowrank::choose({.rows = 8, .in = 16 * 144, .out = 10, .rank = 4});
  const std::vector<Variable<float>> factors{a1, b1, a2, b2};
  optim::Sgd<float> optimizer(factors, {.momentum = 0.9});
  for (int step = 0; step < 5; ++step) {
    const auto hidden = relu(lowrank_conv2d(x, w1, a1, b1, 0.5, {.padding = 1}, convolution));
    const auto logits = lowrank_linear(reshape(hidden, {8, 16 * 144}), w2, a2, b2, 0.5, dense);
    cross_entropy(logits, labels).backward();
    optimizer.step(0.01);
    optimizer.clear_gradients();
  }
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const auto& factor : factors)
    for (const std::byte byte : std::as_bytes(factor.value().span()))
      hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211u;
  return hash;
}

}  // namespace

std::uint64_t TRAINED_FOR() { return train(); }
