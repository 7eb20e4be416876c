// Optimizers against PyTorch: five steps of a small convolutional network with factored layers.

#include <loru/lowrank/factorize.hpp>
#include <loru/optim/optim.hpp>

#include "golden/golden.hpp"

using namespace golden;

namespace {

/// SmallCnn of generate.py.
template <class T>
nn::Model<T> small_cnn(const io::Archive& file, lowrank::PlanChoice plan) {
  const rng::Stream stream{1};
  nn::Sequential<T> s;
  s.add("conv1", nn::Conv2d<T>({.in = 1, .out = 4, .kernel = 5, .padding = 2}, stream));
  s.add("relu1", nn::ReLU<T>()).add("pool1", nn::MaxPool2d<T>());
  s.add("conv2", nn::Conv2d<T>({.in = 4, .out = 6, .kernel = 5, .padding = 2}, stream));
  s.add("relu2", nn::ReLU<T>()).add("pool2", nn::MaxPool2d<T>()).add("flatten", nn::Flatten<T>());
  s.add("fc1", nn::Linear<T>({.in = 54, .out = 16}, stream)).add("relu3", nn::ReLU<T>());
  s.add("fc2", nn::Linear<T>({.in = 16, .out = 10}, stream));
  nn::Model<T> model = s;
  for (const char* layer : {"conv2", "fc1"})
    lowrank::factorize(model, {.rank = file.raw(concat("step0.", layer, ".lora_A.weight")).shape[0],
                               .alpha = number(file, concat(layer, ".alpha")),
                               .layers = {layer},
                               .plan = plan});
  set_parameters(model, file, "step0.");
  return model;
}

/// Trains on the file's batch and compares loss, first gradients and all parameters after each step.
template <class T, class MakeOptimizer>
void check_training(const io::Archive& file, lowrank::PlanChoice plan, MakeOptimizer make_optimizer) {
  nn::Model<T> model = small_cnn<T>(file, plan);
  const auto trained = model.trained_parameters();
  REQUIRE(trained.size() == count(file, "step0."));
  std::vector<Variable<T>> parameters;
  for (const auto& p : trained) parameters.push_back(p.value);
  auto optimizer = make_optimizer(parameters);
  const Variable<T> x(read<T>(file, "x", Layout::channels_last));
  const double clip_norm = number(file, "clip_norm");
  Tensor<T> losses({integer(file, "steps")}), norms(losses.shape());
  for (Index k = 0; k < losses.size(); ++k) {
    const std::string step = concat("step", k + 1, ".");
    optimizer.clear_gradients();
    const Variable<T> loss = cross_entropy(model(x, nn::Pass::train()), read_labels(file, "target"));
    loss.backward();
    losses.data()[k] = static_cast<T>(item(loss));
    if (k == 0)
      for (const auto& p : trained) compare(file, "step1.d_" + p.name, p.value.gradient());
    if (clip_norm > 0.0) norms.data()[k] = static_cast<T>(optim::clip_gradient_norm(parameters, clip_norm));
    optimizer.step(number(file, "lr"));
    for (const auto& p : trained) compare(file, step + p.name, p.value.value());
  }
  compare(file, "losses", losses);
  if (clip_norm > 0.0) compare(file, "norms", norms);
  for (const auto& p : model.parameters())
    if (!p.value.requires_grad()) CHECK(difference(p.value.value(), read<T>(file, p.name)) == 0.0);
}

lowrank::PlanChoice any_plan() {
  using enum lowrank::PlanChoice;
  return GENERATE(automatic, factored, composed, composed_full);
}

}  // namespace

TEMPLATE_TEST_CASE("golden: five steps of SGD", "[golden]", float, double) {
  const auto name = GENERATE(as<std::string>{}, "training_sgd", "training_nesterov", "training_clipped");
  const auto file = load<TestType>(name);
  check_training<TestType>(file, any_plan(), [&](const std::vector<Variable<TestType>>& parameters) {
    return optim::Sgd<TestType>(parameters, {.momentum = number(file, "momentum"),
                                             .nesterov = name == "training_nesterov",
                                             .weight_decay = number(file, "weight_decay")});
  });
}

TEMPLATE_TEST_CASE("golden: five steps of Adam and AdamW", "[golden]", float, double) {
  const bool decoupled = GENERATE(false, true);
  const auto file = load<TestType>(decoupled ? "training_adamw" : "training_adam");
  check_training<TestType>(file, any_plan(), [&](const std::vector<Variable<TestType>>& parameters) {
    return optim::Adam<TestType>(parameters, {.beta1 = number(file, "beta1"),
                                              .beta2 = number(file, "beta2"),
                                              .epsilon = number(file, "eps"),
                                              .weight_decay = number(file, "weight_decay"),
                                              .decoupled = decoupled});
  });
}

TEMPLATE_TEST_CASE("golden: gradient norm clipping", "[golden]", float, double) {
  const auto file = load<TestType>("clip");
  const std::vector<std::string> names{"a", "b", "c"};
  std::vector<Variable<TestType>> parameters;
  for (const auto& name : names) {
    const Tensor<TestType> gradient = read<TestType>(file, "d_" + name);
    parameters.emplace_back(Tensor<TestType>(gradient.shape()), true);
    parameters.back().accumulate(gradient);
  }
  const double norm = optim::clip_gradient_norm(parameters, number(file, "clip_norm"));
  compare(file, "norm", Tensor<TestType>({}, {static_cast<TestType>(norm)}));
  for (std::size_t i = 0; i < names.size(); ++i)
    compare(file, "clipped.d_" + names[i], parameters[i].gradient());
}
