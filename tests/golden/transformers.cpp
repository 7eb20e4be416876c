// Transformers against Hugging Face's transformers, PEFT and PyTorch.

#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/merge.hpp>

#include "golden/golden.hpp"

using namespace golden;

namespace {

io::Archive open(const std::string& name) {
  return io::load(LORU_SOURCE_DIR "/tests/golden/" + name + ".safetensors");
}

/// A tensor of single or double precision.
template <class T>
Tensor<T> number_of(const io::Archive& file, const std::string& name) {
  const auto converted = [](const auto& from) {
    Tensor<T> to(from.shape());
    std::transform(from.data(), from.data() + from.size(), to.data(),
                   [](auto x) { return static_cast<T>(x); });
    return to;
  };
  return file.raw(name).dtype == io::DType::f32 ? converted(file.get<float>(name))
                                                : converted(file.get<double>(name));
}

Sequences starts_of(const io::Archive& file) {
  const auto starts = file.get<std::int64_t>("starts");
  return {{starts.data(), starts.data() + starts.size()}};
}

template <class T>
void compare_with(const io::Archive& file, const std::string& name, const Tensor<T>& got) {
  INFO(file.origin() << ": " << name);
  CHECK(difference(got, number_of<T>(file, name)) <= tolerance<T>);
}

template <class T>
void set_values(nn::Model<T>& model, const io::Archive& file) {
  for (auto& p : model.parameters()) p.value.set_value(number_of<T>(file, p.name));
}

/// Logits, loss and the gradient of every trained parameter.
template <class T, class LossOf>
void check(const io::Archive& file, const std::string& prefix, nn::Model<T>& model, LossOf loss_of) {
  const auto [logits, loss] = loss_of(model);
  compare_with(file, prefix + "logits", logits);
  compare_with(file, prefix + "loss", loss.value());
  loss.backward();
  const auto trained = model.trained_parameters();
  for (const auto& p : trained) {
    if (p.name.ends_with("self.key.bias")) {  // moves all scores of a query alike: zero but for rounding
      CHECK(std::sqrt(squared_norm(p.value.gradient())) < tolerance<T>);
      continue;
    }
    compare_with(file, prefix + "d_" + p.name, p.value.gradient());
  }
  CHECK(trained.size() == count(file, prefix + "d_"));
}

/// The plain model, the model with factors in every graph, and the merged one.
template <class T, class LossOf>
void check_model(const io::Archive& file, nn::Model<T> model, const std::vector<std::string>& layers,
                 LossOf loss_of) {
  set_values(model, file);
  check(file, "", model, loss_of);
  for (const auto plan :
       {lowrank::PlanChoice::factored, lowrank::PlanChoice::composed, lowrank::PlanChoice::composed_full}) {
    nn::Model<T> lora = model;
    nn::train_only(lora, {});
    lowrank::factorize(lora, {.rank = integer(file, "rank"),
                              .alpha = number(file, "alpha"),
                              .layers = layers,
                              .small_layers = lowrank::SmallLayers::factor,
                              .plan = plan});
    set_values(lora, file);
    check(file, "lora.", lora, loss_of);
    lowrank::merge(lora, lowrank::MergeKind::reinit, rng::Stream(1));
    compare_with(file, "merged.logits", loss_of(lora).first);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("golden: bert", "[golden]", float, double) {
  using T = TestType;
  const auto file = open("bert");
  const auto model = nn::bert<T>({.vocabulary = integer(file, "vocabulary"),
                                  .positions = integer(file, "positions"),
                                  .width = integer(file, "width"),
                                  .layers = integer(file, "layers"),
                                  .heads = integer(file, "heads"),
                                  .feed_forward = integer(file, "feed_forward"),
                                  .classes = integer(file, "classes"),
                                  .epsilon = number(file, "epsilon")});
  const nn::Tokens<> tokens(read_labels(file, "tokens"), starts_of(file));
  const auto labels = read_labels(file, "targets");
  check_model<T>(file, model, {"*.attention.self.query", "*.attention.self.value"}, [&](nn::Model<T>& m) {
    const Variable<T> logits = m({}, nn::Pass{.training = true, .sequences = &tokens});
    return std::pair{logits.value(), cross_entropy(logits, labels)};
  });
}

TEMPLATE_TEST_CASE("golden: llama", "[golden]", float, double) {
  using T = TestType;
  const auto file = open("llama");
  const auto model = nn::llama<T>({.vocabulary = integer(file, "vocabulary"),
                                   .positions = integer(file, "positions"),
                                   .width = integer(file, "width"),
                                   .layers = integer(file, "layers"),
                                   .heads = integer(file, "heads"),
                                   .groups = integer(file, "groups"),
                                   .feed_forward = integer(file, "feed_forward"),
                                   .theta = number(file, "theta"),
                                   .epsilon = number(file, "epsilon")});
  nn::Tokens<> tokens(read_labels(file, "tokens"), starts_of(file));
  const auto targets = read_labels(file, "targets");
  check_model<T>(file, model, {"*.q_proj", "*.v_proj"}, [&](nn::Model<T>& m) {
    tokens.targets = {};
    const Tensor<T> logits = m({}, nn::Pass{.sequences = &tokens}).value();
    tokens.targets = targets;
    const Variable<T> values = m({}, nn::Pass{.training = true, .sequences = &tokens});
    Tensor<T> share(values.shape());
    for (Index i = 0; i < share.size(); ++i)
      share.data()[i] = i % 2 == 0 && targets.data()[i / 2] != no_target ? T(1) / T(20) : T(0);
    return std::pair{logits, sum(multiply(values, Variable<T>(share)))};
  });
}

TEMPLATE_TEST_CASE("golden: attention", "[golden]", float, double) {
  using T = TestType;
  const auto file = open("attention");
  const bool causal = GENERATE(false, true);
  const std::string prefix = causal ? "causal." : "";
  const Variable<T> q(number_of<T>(file, "q"), true), k(number_of<T>(file, "k"), true),
      v(number_of<T>(file, "v"), true);
  const Sequences s = starts_of(file);
  const double scale = 1.0 / std::sqrt(number(file, "width"));
  const auto y = attention(q, k, v, s, s, {integer(file, "heads"), 1, causal, scale});
  compare_with(file, prefix + "y", y.value());
  y.backward(number_of<T>(file, "dy"));
  compare_with(file, prefix + "dq", q.gradient());
  compare_with(file, prefix + "dk", k.gradient());
  compare_with(file, prefix + "dv", v.gradient());
}
