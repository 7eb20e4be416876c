// Transformers: names, ragged batches, what is trained, losses without logits, curvature.
#include <loru/lowrank/explain.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/visit.hpp>
#include <loru/nn/nn.hpp>
#include <loru/optim/optim.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

constexpr nn::BertOptions small_bert{
    .vocabulary = 20, .positions = 9, .width = 12, .layers = 2, .heads = 3, .feed_forward = 16, .classes = 3};
constexpr nn::LlamaOptions small_llama{
    .vocabulary = 20, .positions = 9, .width = 12, .layers = 2, .heads = 6, .groups = 2, .feed_forward = 16};
constexpr nn::CharTransformerOptions small_char{
    .vocabulary = 20, .positions = 9, .width = 12, .layers = 2, .heads = 3, .feed_forward = 16};

/// Sequences of 3, 1, 9 and 5 tokens.
nn::Tokens<> ragged() {
  Tensor<std::int32_t> ids(Shape{18});
  for (Index i = 0; i < 18; ++i) ids.data()[i] = static_cast<std::int32_t>(i * 7 % 20);
  return {ids, {{0, 3, 4, 13, 18}}};
}

/// The next token of each, none of the last.
Tensor<std::int32_t> next_of(const nn::Tokens<>& tokens) {
  Tensor<std::int32_t> next(tokens.tokens.shape());
  std::fill(next.data(), next.data() + next.size(), no_target);
  for (Index s = 0; s < tokens.bounds.count(); ++s)
    for (Index i = tokens.bounds.first(s); i + 1 < tokens.bounds.first(s + 1); ++i)
      next.data()[i] = tokens.tokens.data()[i + 1];
  return next;
}

nn::Tokens<> part(const nn::Tokens<>& all, Index sequence) {
  const Index first = all.bounds.first(sequence), n = all.bounds.length(sequence);
  Tensor<std::int32_t> ids(Shape{n});
  std::copy(all.tokens.data() + first, all.tokens.data() + first + n, ids.data());
  return {ids, {{0, n}}};
}

template <class T>
Tensor<T> rows(const Tensor<T>& x, Index first, Index count) {
  Tensor<T> y({count, x.dim(1)});
  std::copy(x.data() + first * x.dim(1), x.data() + (first + count) * x.dim(1), y.data());
  return y;
}

template <class T>
std::vector<std::string> names(nn::Model<T> model) {
  std::vector<std::string> all;
  for (const auto& p : model.parameters()) all.push_back(p.name);
  return all;
}

bool has(const std::vector<std::string>& all, const std::string& name) {
  return std::find(all.begin(), all.end(), name) != all.end();
}

}  // namespace

TEST_CASE("transformers: parameters have Hugging Face's names") {
  const auto bert = names(nn::bert<float>(small_bert));
  CHECK(bert.size() == 5 + 2 * 16 + 4);
  for (const char* name :
       {"bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.bias",
        "bert.encoder.layer.1.attention.self.query.weight",
        "bert.encoder.layer.0.attention.output.LayerNorm.weight",
        "bert.encoder.layer.0.intermediate.dense.bias", "bert.encoder.layer.1.output.dense.weight",
        "bert.pooler.dense.weight", "classifier.bias"})
    CHECK(has(bert, name));
  const auto llama = names(nn::llama<float>(small_llama));
  CHECK(llama.size() == 2 + 2 * 9);
  for (const char* name : {"model.embed_tokens.weight", "model.layers.1.self_attn.o_proj.weight",
                           "model.layers.0.mlp.gate_proj.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.0.post_attention_layernorm.weight", "model.norm.weight"})
    CHECK(has(llama, name));
  auto untied = small_llama;
  untied.tied = false;
  CHECK(has(names(nn::llama<float>(untied)), "lm_head.weight"));
  CHECK(
      has(names(nn::char_transformer<float>(small_char)), "model.decoder.layers.0.self_attn.out_proj.bias"));
}

TEST_CASE("transformers: a sequence has the bits in a batch that it has alone") {
  const nn::Tokens<> all = ragged();
  auto bert = nn::bert<float>(small_bert);
  auto decoder = GENERATE(nn::llama<float>(small_llama), nn::char_transformer<float>(small_char));
  const auto classes = bert({}, nn::Pass{.sequences = &all}).value();
  const auto logits = decoder({}, nn::Pass{.sequences = &all}).value();
  REQUIRE(classes.shape() == Shape{4, 3});
  REQUIRE(logits.shape() == Shape{18, 20});
  for (Index s = 0; s < 4; ++s) {
    const nn::Tokens<> one = part(all, s);
    CHECK(same_bits(bert({}, nn::Pass{.sequences = &one}).value(), rows(classes, s, 1)));
    CHECK(same_bits(decoder({}, nn::Pass{.sequences = &one}).value(),
                    rows(logits, all.bounds.first(s), all.bounds.length(s))));
  }
  nn::Tokens<> last = ragged();
  last.last_only = true;
  const auto ends = decoder({}, nn::Pass{.sequences = &last}).value();
  REQUIRE(ends.shape() == Shape{4, 20});
  for (Index s = 0; s < 4; ++s)
    CHECK(same_bits(rows(ends, s, 1), rows(logits, all.bounds.first(s + 1) - 1, 1)));
}

TEST_CASE("transformers: so has one of layers with factors, in each plan that is forced") {
  using lowrank::PlanChoice;
  const nn::Tokens<> all = ragged();
  const auto plan =
      GENERATE(PlanChoice::factored, PlanChoice::composed, PlanChoice::composed_full, PlanChoice::automatic);
  auto bert = nn::bert<float>(small_bert);
  auto llama = nn::llama<float>(small_llama);
  const auto with_factors = [&](nn::Model<float>& model, const char* layers) {
    lowrank::factorize(model, {.rank = 4, .alpha = 8.0, .layers = {layers}, .plan = plan});
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<float>& weight) {
      const Tensor<float> a = weight.a().value();  // B is zero until it is trained
      weight.set_factors(a, gaussian<float>({weight.shape()[0], 4}, 5));
    });
  };
  with_factors(bert, "*.attention.self.*");
  with_factors(llama, "*_proj");
  const auto agree = [&](const Tensor<float>& x, const Tensor<float>& y) {
    // Which graph the planner takes depends on the rows of the whole batch; graphs differ by roundings.
    CHECK((plan == PlanChoice::automatic ? close(x, y) : same_bits(x, y)));
  };
  const auto classes = bert({}, nn::Pass{.sequences = &all}).value();
  const auto logits = llama({}, nn::Pass{.sequences = &all}).value();
  for (Index s = 0; s < 4; ++s) {
    const nn::Tokens<> one = part(all, s);
    agree(bert({}, nn::Pass{.sequences = &one}).value(), rows(classes, s, 1));
    agree(llama({}, nn::Pass{.sequences = &one}).value(),
          rows(logits, all.bounds.first(s), all.bounds.length(s)));
  }
}

TEST_CASE("transformers: losses of targets are those of the logits") {
  nn::Tokens<> tokens = ragged();
  auto untied = small_llama;
  untied.tied = false;
  auto model = GENERATE_COPY(nn::llama<double>(untied), nn::char_transformer<double>(small_char));
  const auto logits = model({}, nn::Pass{.sequences = &tokens}).value();
  tokens.targets = next_of(tokens);
  const auto values = model({}, nn::Pass{.sequences = &tokens}).value();
  REQUIRE(values.shape() == Shape{18, 2});
  for (Index i = 0; i < 18; ++i) {
    const std::int32_t target = tokens.targets.data()[i];
    if (target == no_target) {
      CHECK(values.data()[2 * i] == 0.0);
      continue;
    }
    const Tensor<std::int32_t> label({1}, {target});
    CHECK(values.data()[2 * i] == Approx(cross_entropy(rows(logits, i, 1), label).loss.data()[0]));
    CHECK(values.data()[2 * i + 1] == static_cast<double>(count_correct(rows(logits, i, 1), label)));
  }
}

TEST_CASE("transformers: factors by name, everything else frozen, nothing computed below the lowest") {
  auto model = nn::bert<float>(small_bert);
  nn::train_only(model, {"classifier.*"});
  const bool rslora = GENERATE(false, true);
  const auto layers = lowrank::factorize(
      model, {.rank = 4,
              .alpha = 6.0,
              .rslora = rslora,
              .layers = {"*.layer.1.attention.self.query", "*.layer.1.attention.self.value"}});
  CHECK(layers == std::vector<std::string>{"bert.encoder.layer.1.attention.self.query",
                                           "bert.encoder.layer.1.attention.self.value"});
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<float>& weight) {
    CHECK(weight.scale() == Approx(rslora ? 3.0 : 1.5));
  });
  std::vector<std::string> trained;
  for (const auto& p : model.trained_parameters()) trained.push_back(p.name);
  CHECK(trained == std::vector<std::string>{"bert.encoder.layer.1.attention.self.query.lora_A.weight",
                                            "bert.encoder.layer.1.attention.self.query.lora_B.weight",
                                            "bert.encoder.layer.1.attention.self.value.lora_A.weight",
                                            "bert.encoder.layer.1.attention.self.value.lora_B.weight",
                                            "classifier.weight", "classifier.bias"});
  // The plan of a factored layer says whether its input needs a gradient: below it nothing does.
  std::vector<bool> needed;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string&, nn::Factored<float>& weight) {
    weight.set_plan([&](const LowRankProblem& p) {
      needed.push_back(p.input_gradient);
      return Plan::composed;
    });
  });
  const nn::Tokens<> tokens = ragged();
  cross_entropy(model({}, nn::Pass{.sequences = &tokens}), loru_test::labels(4, 3)).backward();
  CHECK(needed == std::vector<bool>{false, false});
  for (const auto& p : model.parameters()) {
    INFO(p.name);
    CHECK(static_cast<bool>(p.value.gradient()) == p.value.requires_grad());
  }
  CHECK_THROWS_WITH(nn::train_only(model, {"clasifier.*"}),
                    "train_only: no parameter matches 'clasifier.*', did you mean 'classifier.bias'?");
}

TEST_CASE("transformers: a decoder that reads on has the bits of the whole sequence") {
  auto model = GENERATE(nn::llama<float>(small_llama), nn::char_transformer<float>(small_char));
  const nn::Tokens<> all = part(ragged(), 2);
  const auto logits = model({}, nn::Pass{.sequences = &all}).value();
  nn::KeyValueCache<float> cache;
  const NoGrad guard;
  for (const auto& [first, count] : {std::pair<Index, Index>{0, 4}, {4, 1}, {5, 1}, {6, 3}}) {
    Tensor<std::int32_t> ids(Shape{count});
    std::copy_n(all.tokens.data() + first, count, ids.data());
    const nn::Tokens<> next(ids, {{0, count}, first});
    CHECK(same_bits(model({}, nn::Pass{.sequences = &next, .cache = &cache}).value(),
                    rows(logits, first, count)));
  }
  const nn::Tokens<> again = part(ragged(), 0);
  CHECK_THROWS_WITH(model({}, nn::Pass{.sequences = &again, .cache = &cache}),
                    "cache: expected one sequence that goes on at token 9, got 1 at token 0");
  nn::KeyValueCache<double> other;
  CHECK_THROWS_WITH(model({}, nn::Pass{.sequences = &again, .cache = &other}),
                    "attention: expected a cache of the model's scalar, on the host");
}

TEST_CASE("transformers: copies of a cache go on apart") {
  const auto token = [](Index at) { return Tensor<float>({1, 2}, {static_cast<float>(at), 0.5f}); };
  const int attention = 0;
  nn::KeyValueCache<float> cache;
  for (Index at = 0; at < 5; ++at) cache.extend(&attention, token(at), token(-at), {{0, 1}, at});
  nn::KeyValueCache<float> other = cache;
  const auto mine = cache.extend(&attention, token(7), token(8), {{0, 1}, 5});
  const auto others = other.extend(&attention, token(9), token(10), {{0, 1}, 5});
  CHECK(mine.keys.data()[10] == 7.0f);
  CHECK(mine.values.data()[10] == 8.0f);
  CHECK(others.keys.data()[10] == 9.0f);
  for (Index at = 0; at < 5; ++at) CHECK(others.values.data()[2 * at] == static_cast<float>(-at));
}

TEST_CASE("transformers: the plans of a batch of sequences") {
  auto model = nn::llama<float>(small_llama);
  nn::train_only(model, {});
  lowrank::factorize(model, {.rank = 2, .layers = {"*.q_proj", "*.v_proj"}});
  const auto plans = lowrank::explain(model, ragged());
  REQUIRE(plans.size() == 4);
  CHECK(plans[0].layer == "model.layers.0.self_attn.q_proj");
  CHECK_FALSE(plans[0].problem.input_gradient);
  CHECK(plans[2].problem.input_gradient);
  for (const auto& plan : plans) CHECK(plan.problem.rows == 18);
}

TEST_CASE("transformers: a decoder learns from nothing") {
  auto model = nn::char_transformer<float>(small_char);
  nn::Tokens<> tokens = ragged();
  tokens.targets = next_of(tokens);
  std::vector<Variable<float>> parameters;
  for (auto& p : model.trained_parameters()) parameters.push_back(p.value);
  const auto optimizer = optim::make({.kind = optim::Kind::adam}, parameters);
  Tensor<float> share({18, 2});
  for (Index i = 0; i < share.size(); ++i) share.data()[i] = i % 2 == 0 ? 1.0f / 14.0f : 0.0f;
  double first = 0.0, last = 0.0;
  for (Index step = 0; step < 200; ++step) {
    optimizer->clear_gradients();
    const auto loss =
        sum(multiply(model({}, nn::Pass{.training = true, .sequences = &tokens}), Variable<float>(share)));
    (step == 0 ? first : last) = item(loss);
    loss.backward();
    optimizer->step(0.01);
  }
  CHECK(first == Approx(std::log(20.0)).epsilon(0.2));
  CHECK(last < 0.05);
}

TEST_CASE("transformers: dropout is the pass's") {
  auto options = small_bert;
  options.dropout = 0.3;
  auto model = nn::bert<float>(options), plain = nn::bert<float>(small_bert);
  const nn::Tokens<> tokens = ragged();
  const auto run = [&](nn::Model<float>& m, bool training) {
    nn::Pass pass{.training = training, .sequences = &tokens};
    return m({}, pass).value();
  };
  CHECK(same_bits(run(model, false), run(plain, false)));
  CHECK(same_bits(run(model, true), run(model, true)));
  CHECK_FALSE(same_bits(run(model, true), run(model, false)));
}

namespace {

/// A loss over real or dual numbers at the model's parameters.
template <class T>
Variable<T> loss_of(nn::Model<T>& model, std::span<Variable<T>> parameters, bool classes) {
  std::size_t next = 0;
  model.visit({.parameter = [&](const std::string&, Variable<T>& v) {
    if (v.requires_grad()) v = parameters[next++];
  }});
  nn::Tokens<> tokens = ragged();
  if (classes) return cross_entropy(model({}, nn::Pass{.sequences = &tokens}), loru_test::labels(4, 3));
  tokens.targets = next_of(tokens);
  Tensor<T> share({18, 2});
  for (Index i = 0; i < share.size(); ++i) share.data()[i] = i % 2 == 0 ? T(Real<T>(1) / 14) : T(0);
  return sum(multiply(model({}, nn::Pass{.sequences = &tokens}), Variable<T>(share)));
}

template <class Build>
void check_curvature(Build build, bool classes) {
  const auto factored = [&]<class T>(std::type_identity<T>) {
    nn::Model<T> model = build(std::type_identity<T>{});
    lowrank::factorize(model, {.rank = 2, .layers = {classes ? "*.self.value" : "*.v_proj"}});
    return model;
  };
  auto plain = factored(std::type_identity<double>{});
  auto dual = factored(std::type_identity<Dual<double>>{});
  std::vector<Tensor<double>> point, direction;
  for (const auto& p : plain.trained_parameters()) {
    point.push_back(add(p.value.value(), gaussian(p.value.shape(), 7 + point.size())));
    direction.push_back(gaussian(p.value.shape(), 100 + point.size()));
  }
  const auto gradient = [&](double h) {
    std::vector<Variable<double>> v;
    for (std::size_t i = 0; i < point.size(); ++i) {
      v.emplace_back(clone(point[i]), true);
      add_scaled(v.back().mutable_value(), h, direction[i]);
    }
    loss_of<double>(plain, v, classes).backward();
    return v;
  };
  const auto got =
      hvp<double>([&](auto p) { return loss_of<Dual<double>>(dual, p, classes); }, point, direction);
  constexpr double h = 1e-6;
  const auto at = gradient(0.0), above = gradient(h), below = gradient(-h);
  double error = 0.0, size = 0.0;
  for (std::size_t i = 0; i < point.size(); ++i) {
    if (!at[i].gradient()) continue;
    CHECK(same_bits(got.gradient[i], at[i].gradient()));
    const auto slope = scale(add(above[i].gradient(), scale(below[i].gradient(), -1.0)), 0.5 / h);
    error += squared_norm(add(slope, scale(got.product[i], -1.0)));
    size += squared_norm(slope);
  }
  CHECK(size > 1e-6);
  CHECK(error < 1e-12 * size);
}

}  // namespace

TEST_CASE("hvp: transformers") {
  check_curvature([]<class T>(std::type_identity<T>) { return nn::bert<T>(small_bert); }, true);
  check_curvature([]<class T>(std::type_identity<T>) { return nn::llama<T>(small_llama); }, false);
  check_curvature([]<class T>(std::type_identity<T>) { return nn::char_transformer<T>(small_char); }, false);
}

TEST_CASE("transformers: refuse what they cannot read") {
  auto bert = nn::bert<float>(small_bert);
  auto llama = nn::llama<float>(small_llama);
  CHECK_THROWS_WITH(bert(Variable<float>(gaussian<float>({2, 3}))),
                    "bert: expected a pass with tokens on the device cpu, got none");
  const nn::Tokens<> long_one(loru_test::labels(10, 20), {{0, 10}});
  CHECK_THROWS_WITH(bert({}, nn::Pass{.sequences = &long_one}), "bert: expected at most 9 tokens, got 10");
  CHECK_THROWS_WITH(llama({}, nn::Pass{.sequences = &long_one}),
                    "rotary: expected at most 9 positions, got 10");
  const nn::Tokens<> outside(Tensor<std::int32_t>({2}, {1, 20}), {{0, 2}});
  CHECK_THROWS_WITH(llama({}, nn::Pass{.sequences = &outside}),
                    "embedding: row 20 at place 1 is outside the 20 rows of the table");
  const nn::Tokens<> empty(loru_test::labels(3, 20), {{0, 3, 3}});
  CHECK_THROWS_WITH(bert({}, nn::Pass{.sequences = &empty}),
                    "bert: expected at least one token in sequence 1");
  CHECK_THROWS_WITH(
      nn::llama<float>({.width = 12, .heads = 5, .groups = 5}),
      "attention: expected heads that divide the width 12 and groups that divide the heads, got "
      "5 heads in 5 groups");
  CHECK_THROWS_WITH(nn::bert<float>({.layers = 0}), "bert: layers: expected a whole number >= 1, got 0");
}
