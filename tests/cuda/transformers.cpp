// Outputs and gradients of transformers on the emulated device against the host's, on a ragged batch.
#include <loru/cuda/cuda.cuh>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/llama.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

/// Sequences of 3, 1, 70 and 5 tokens.
template <class D>
nn::Tokens<D> ragged() {
  Tensor<std::int32_t> ids(Shape{79});
  for (Index i = 0; i < ids.size(); ++i) ids.data()[i] = static_cast<std::int32_t>(i * 7 % 20);
  return {loru::to_device<D>(ids), {{0, 3, 4, 74, 79}}};
}

/// Every tensor that a step leaves: the output, then the gradients of the trained parameters.
template <class D>
std::vector<Tensor<float>> step(nn::Model<float, D> model, const nn::Tokens<D>& tokens) {
  lowrank::factorize(model, {.rank = 3, .alpha = 6.0, .layers = {"*.0.*"}, .start = lowrank::Start::zero});
  std::uint64_t seed = 1;  // B starts at zero, where the gradient of A is zero too
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<float, D>& layer) {
    layer.b().set_value(loru::to_device<D>(scale(gaussian<float>(layer.b().shape(), ++seed), 0.1f)));
  });
  auto pass = nn::Pass::train();
  pass.sequences = &tokens;
  const auto y = model({}, pass);
  y.backward(loru::to_device<D>(gaussian<float>(y.shape(), 5)));
  std::vector<Tensor<float>> results{loru::to_host(y.value())};
  for (const auto& p : model.trained_parameters())
    if (!p.name.ends_with("key.bias"))  // shifts all scores of a row: its gradient is zero but for rounding
      results.push_back(loru::to_host(p.value.gradient()));
  return results;
}

}  // namespace

TEST_CASE("cuda transformers: a step gives the host's output and gradients") {
  const OnDevice device(every_block_memory());
  SECTION("bert") {
    const auto run = []<class D>(D) {
      return step(nn::bert<float, D>({.vocabulary = 20,
                                      .positions = 72,
                                      .width = 12,
                                      .layers = 2,
                                      .heads = 3,
                                      .feed_forward = 16,
                                      .classes = 3}),
                  ragged<D>());
    };
    check_close(run(Cuda{}), run(Cpu{}), 1e-5);
  }
  SECTION("llama, with targets") {
    const auto run = []<class D>(D) {
      auto tokens = ragged<D>();
      auto targets = labels(79, 20);
      targets.data()[2] = targets.data()[3] = no_target;
      tokens.targets = loru::to_device<D>(targets);
      return step(nn::llama<float, D>({.vocabulary = 20,
                                       .positions = 72,
                                       .width = 24,
                                       .layers = 2,
                                       .heads = 6,
                                       .groups = 2,
                                       .feed_forward = 16}),
                  tokens);
    };
    check_close(run(Cuda{}), run(Cpu{}), 1e-5);
  }
}
