// Outputs and gradients of every model on the emulated device against the host's, dense and in every plan.
#include <loru/cuda/cuda.cuh>
#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>

#include "ops/support.hpp"

using namespace loru;
using namespace loru_test;

namespace {

enum class Form { dense, factored, composed, composed_full };

/// Two images through a model in training, and back: logits, then the gradients of the trained parameters.
template <class D>
std::vector<Tensor<float>> step(const std::string& name, Form form) {
  const Index side = name.starts_with("resnet") || name == "lenet" ? 12 : 8;
  auto model = nn::build<float, D>(
      name, {.channels = 2, .height = side, .width = side, .classes = 4, .seed = 3, .narrow = 16});
  if (form != Form::dense) {
    using lowrank::PlanChoice;
    const std::array plans{PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full};
    lowrank::factorize(model, {.rank = 3,
                               .alpha = 6.0,
                               .layers = {"*"},
                               .plan = plans[static_cast<std::size_t>(form) - 1],
                               .start = lowrank::Start::zero});
    // B starts at zero, where the gradient of A is zero too.
    std::uint64_t seed = 1;
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<float, D>& layer) {
      auto b = gaussian<float>(layer.b().shape(), ++seed);
      layer.b().set_value(loru::to_device<D>(scale(b, 0.1f)));
    });
  }
  const Variable<float, D> x(
      loru::to_device<D>(gaussian<float>({2, 2, side, side}, 7, Layout::channels_last)));
  const auto z = model(x, nn::Pass::train());
  cross_entropy(z, loru::to_device<D>(labels(2, 4))).backward();
  std::vector<Tensor<float>> results{loru::to_host(z.value())};
  for (const auto& p : model.trained_parameters()) results.push_back(loru::to_host(p.value.gradient()));
  return results;
}

}  // namespace

TEST_CASE("cuda models: every model gives the host's output and gradients") {
  const std::string name = GENERATE("logistic", "mlp", "cnn", "lenet", "resnet10", "resnet18");
  const Form form = GENERATE(Form::dense, Form::factored, Form::composed, Form::composed_full);
  CAPTURE(name, static_cast<int>(form));
  const OnDevice device(every_block_memory());
  // Sums in another order: 1e-6 was seen at most without norms. These magnify it, the more the fewer elements
  // they see, at the least 8 here (of 2 the gradient would be nothing but rounding): 2e-5 was seen.
  check_close(step<Cuda>(name, form), step<Cpu>(name, form), name.starts_with("resnet") ? 1e-4 : 5e-6);
}
