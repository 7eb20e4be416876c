// Factored layers and merges against PyTorch, under every plan.

#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/merge.hpp>

#include "golden/golden.hpp"

using namespace golden;

namespace {

const rng::Stream stream{1};

/// The layer of a case, factorised; values are not set yet.
template <class T>
nn::Model<T> factored_layer(const io::Archive& file, lowrank::PlanChoice plan) {
  const Shape w = file.raw("weight").shape;
  const auto layer = [&]() -> nn::Model<T> {
    if (w.rank() == 2) return nn::Linear<T>({.in = w[1], .out = w[0]}, stream);
    return nn::Conv2d<T>({.in = w[1],
                          .out = w[0],
                          .kernel = w[2],
                          .stride = integer(file, "stride"),
                          .padding = integer(file, "padding"),
                          .dilation = integer(file, "dilation")},
                         stream);
  };
  nn::Model<T> model = layer();
  lowrank::factorize(model, {.rank = integer(file, "rank"), .alpha = number(file, "alpha"), .plan = plan});
  return model;
}

std::string any_case() {
  return GENERATE(as<std::string>{}, "factored_linear", "factored_conv2d", "factored_conv2d_stride");
}

}  // namespace

TEMPLATE_TEST_CASE("golden: factored layers under every plan", "[golden]", float, double) {
  using enum lowrank::PlanChoice;
  const auto file = load<TestType>(any_case());
  const auto plan = GENERATE(automatic, factored, composed, composed_full);
  INFO("plan " << static_cast<int>(plan));
  check_layer<TestType>(factored_layer<TestType>(file, plan), file, GENERATE(false, true));
}

TEMPLATE_TEST_CASE("golden: merge", "[golden]", float, double) {
  const auto file = load<TestType>(any_case());
  const auto kind = GENERATE(lowrank::MergeKind::reinit, lowrank::MergeKind::keep);
  nn::Model<TestType> model = factored_layer<TestType>(file, lowrank::PlanChoice::automatic);
  set_parameters(model, file);
  lowrank::merge(model, kind, stream);
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<TestType>& layer) {
    compare(file, "merged.weight", layer.base().value());
    if (kind == lowrank::MergeKind::keep) {
      compare(file, "lora_A.weight", layer.a().value());
      compare(file, "lora_B.weight", layer.b().value());
    }
  });
  if (kind == lowrank::MergeKind::reinit)
    compare(file, "y", model(Variable<TestType>(read<TestType>(file, "x"))).value());
}
