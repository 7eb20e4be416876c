#include <loru/lowrank/lowrank.hpp>
#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;
using loru_test::same_bits;
using lowrank::FactorizeOptions;
using lowrank::SmallLayers;

namespace {

using Strings = std::vector<std::string>;

nn::Model<double> small_cnn() {
  return nn::build<double>("cnn", {.channels = 2, .height = 8, .width = 8, .classes = 5});
}

/// The factored weight of the layer, or null.
nn::Factored<double>* factored(nn::Model<double>& model, const std::string& layer) {
  nn::Factored<double>* found = nullptr;
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& name, nn::Factored<double>& f) {
    if (name == layer) found = &f;
  });
  return found;
}

Strings chosen(const Strings& patterns) {
  nn::Model<double> model = small_cnn();
  return lowrank::factorize(model, {.rank = 2, .layers = patterns});
}

}  // namespace

TEST_CASE("factorize: layers by name pattern, in the model's order") {
  CHECK(chosen({"fc1", "conv2"}) == Strings{"conv2", "fc1"});
  CHECK(chosen({"conv*"}) == Strings{"conv1", "conv2"});
  CHECK(chosen({"fc?", "fc1"}) == Strings{"fc1", "fc2"});
  CHECK(chosen({"[cf]*1"}) == Strings{"conv1", "fc1"});
  CHECK(chosen({}) == Strings{"conv2", "fc1"});  // all but the first and the last
  CHECK_THROWS_WITH(chosen({"conv2", "convv1"}),
                    "factorize: no layer matches 'convv1', did you mean 'conv1'?");
  nn::Model<double> resnet = nn::build<double>("resnet10", {.height = 8, .width = 8, .narrow = 16});
  CHECK(lowrank::factorize(resnet, {.rank = 2, .layers = {"layer4.*"}}) ==
        Strings{"layer4.0.conv1", "layer4.0.conv2", "layer4.0.downsample.0"});
}

TEST_CASE("factorize: parameters and their names") {
  nn::Model<double> model = small_cnn();
  lowrank::factorize(model, {.rank = 3, .alpha = 6.0, .layers = {"conv2", "fc1"}});
  Strings all, trained;
  for (const auto& p : model.parameters()) all.push_back(p.name);
  for (const auto& p : model.trained_parameters()) trained.push_back(p.name);
  CHECK(all == Strings{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.lora_A.weight",
                       "conv2.lora_B.weight", "conv2.bias", "fc1.weight", "fc1.lora_A.weight",
                       "fc1.lora_B.weight", "fc1.bias", "fc2.weight", "fc2.bias"});
  CHECK(trained == Strings{"conv1.weight", "conv1.bias", "conv2.lora_A.weight", "conv2.lora_B.weight",
                           "conv2.bias", "fc1.lora_A.weight", "fc1.lora_B.weight", "fc1.bias", "fc2.weight",
                           "fc2.bias"});
  nn::Factored<double>& conv = *factored(model, "conv2");
  CHECK(conv.a().shape() == Shape{3, 32, 5, 5});
  CHECK(conv.b().shape() == Shape{64, 3});
  CHECK(conv.scale() == 2.0);
  CHECK(conv.rank() == 3);
  for (double b : conv.b().value().span()) CHECK(b == 0.0);
  lowrank::factorize(model, {.rank = 4, .alpha = 0.0, .layers = {"fc2"}});
  CHECK(factored(model, "fc2")->scale() == 1.0);  // alpha = rank
}

TEST_CASE("factorize: the model computes what it computed") {
  const lowrank::Start start = GENERATE(lowrank::Start::zero, lowrank::Start::svd);
  nn::Model<double> model = small_cnn(), dense = model;
  // Rank 8 is above the 5 classes of fc2: a decomposition has no more than 5 directions.
  lowrank::factorize(model, {.rank = 8,
                             .alpha = 3.0,
                             .layers = {"conv2", "fc1", "fc2"},
                             .small_layers = SmallLayers::factor,
                             .start = start});
  const Variable<double> x(gaussian({3, 2, 8, 8}));
  CHECK(loru_test::difference(model(x).value(), dense(x).value()) < 1e-9);
  nn::Factored<double>& fc1 = *factored(model, "fc1");
  if (start == lowrank::Start::svd) {
    CHECK(squared_norm(fc1.b().value()) > 0.0);
    CHECK(squared_norm(fc1.base().value()) < squared_norm(nn::Weight<double>(fc1).effective()));
  }
}

TEST_CASE("factorize: init_scale multiplies a random A, at the start and after a merge") {
  const auto of = [](double scale, bool merged) {
    nn::Model<double> model = small_cnn();
    lowrank::factorize(model, {.rank = 3, .layers = {"conv2", "fc1"}, .init_scale = scale});
    if (merged) lowrank::merge(model, lowrank::MergeKind::reinit, rng::Stream(3));
    std::vector<double> all;
    for (const char* layer : {"conv2", "fc1"})
      for (const double a : factored(model, layer)->a().value().span()) all.push_back(a);
    return all;
  };
  for (const bool merged : {false, true}) {
    std::vector<double> expected = of(1.0, merged);
    for (double& a : expected) a *= 0.5;
    CHECK(of(0.5, merged) == expected);
  }
  CHECK(of(1.0, true) != of(1.0, false));
}

TEST_CASE("factorize: small layers") {
  const auto done = [](SmallLayers rule) {
    nn::Model<double> model = nn::build<double>("cnn", {.height = 8, .width = 8});
    return lowrank::factorize(model, {.rank = 64, .layers = {"fc*"}, .small_layers = rule});
  };
  CHECK_THROWS_WITH(done(SmallLayers::error),
                    "factorize: layer fc2: rank 64 exceeds min(in=512, out=10) = 10");
  CHECK_THROWS_AS(done(SmallLayers::error), ConfigError);
  CHECK(done(SmallLayers::dense) == Strings{"fc1"});
  CHECK(done(SmallLayers::factor) == Strings{"fc1", "fc2"});
  nn::Model<double> model = small_cnn();
  CHECK_THROWS_WITH(lowrank::factorize(model, {.rank = 33, .layers = {"conv1"}}),
                    "factorize: layer conv1: rank 33 exceeds min(in=50, out=32) = 32");
}

TEST_CASE("factorize: options that make no sense, and layers factorised twice") {
  nn::Model<double> model = small_cnn();
  CHECK_THROWS_WITH(lowrank::factorize(model, {.rank = 0}),
                    "factorize: rank: expected a whole number >= 1, got 0");
  CHECK_THROWS_AS(lowrank::factorize(model, {.dropout = 1.0}), ConfigError);
  lowrank::factorize(model, {.rank = 2, .layers = {"fc1"}});
  CHECK_THROWS_WITH(lowrank::factorize(model, {.rank = 2, .layers = {"fc1"}}),
                    "factorize: layer fc1 is factorised already");
  using F = nn::Factored<double>;
  CHECK_THROWS_AS(F(gaussian({4, 6}), gaussian({2, 5}), gaussian({4, 2}), {}), ShapeError);
}

TEST_CASE("factorize: a rank for each layer") {
  nn::Model<double> model = small_cnn();
  const auto error = [&](std::vector<Index> ranks) {
    try {
      lowrank::factorize(model, {.ranks = std::move(ranks), .layers = {"conv2", "fc*"}});
    } catch (const ConfigError& e) {
      return std::string(e.what());
    }
    return std::string("nothing was thrown");
  };
  CHECK(error({2, 3}) == "factorize: ranks: expected 3 ranks, one for each of conv2, fc1, fc2; got 2");
  CHECK(error({2, 0, 3}) == "factorize: ranks: expected a whole number >= 1, got 0");
  CHECK(error({2, 3, 64}).starts_with("factorize: layer fc2: rank 64 exceeds min(in="));
  CHECK(factored(model, "conv2") == nullptr);
  CHECK(error({2, 3, 4}) == "nothing was thrown");
  CHECK(factored(model, "conv2")->rank() == 2);
  CHECK(factored(model, "fc1")->rank() == 3);
  CHECK(factored(model, "fc2")->rank() == 4);
  CHECK(factored(model, "fc1")->scale() == Approx(16.0 / 3.0));
}

TEST_CASE("factorize: an error leaves the model as it was") {
  nn::Model<double> model = small_cnn();
  CHECK_THROWS_AS(lowrank::factorize(model, {.rank = 64, .layers = {"fc*"}}), ConfigError);
  CHECK(factored(model, "fc1") == nullptr);
}

TEST_CASE("factorize: copies share W and own their factors") {
  nn::Model<double> model = small_cnn();
  lowrank::factorize(model, {.rank = 2, .layers = {"fc1"}});
  nn::Model<double> client = model;
  nn::Factored<double>&mine = *factored(model, "fc1"), &theirs = *factored(client, "fc1");
  CHECK(mine.base().value().data() == theirs.base().value().data());
  CHECK(mine.a().value().data() != theirs.a().value().data());
  fill(theirs.b().mutable_value(), 1.0);
  lowrank::merge(client, lowrank::MergeKind::keep, rng::Stream(1));
  CHECK_FALSE(same_bits(mine.base().value(), theirs.base().value()));
  nn::Model<double> fresh = small_cnn();  // W of the others is as it was
  CHECK(same_bits(mine.base().value(), fresh.parameters()[4].value.value()));
}

TEST_CASE("factorize: dropout between the factors, in training alone, whatever the plan") {
  nn::Model<double> model = small_cnn(), plain = model;
  lowrank::factorize(
      model, {.rank = 2, .layers = {"conv2", "fc1"}, .dropout = 0.5, .plan = lowrank::PlanChoice::composed});
  lowrank::factorize(plain, {.rank = 2, .layers = {"conv2", "fc1"}, .plan = lowrank::PlanChoice::factored});
  for (auto* m : {&model, &plain})
    lowrank::for_each_weight<nn::Factored>(
        *m, [](const std::string&, nn::Factored<double>& f) { f.b().set_value(gaussian(f.b().shape(), 8)); });
  const Variable<double> x(gaussian({4, 2, 8, 8}));
  const auto train = [&](std::uint64_t seed) {
    return model(x, nn::Pass::train(rng::Stream(seed, rng::Purpose::dropout))).value();
  };
  CHECK(loru_test::difference(model(x).value(), plain(x).value()) < 1e-9);  // evaluation drops nothing
  CHECK(same_bits(train(1), train(1)));
  CHECK_FALSE(close(train(1), train(2)));

  // With rank 2 there are four masks: a row of outputs is W·x plus 0, 2·first, 2·second or both.
  nn::Factored<double>& f = *factored(model, "fc1");
  const Variable<double> in(gaussian({1, f.shape()[1]}, 3));
  const Index draws = 400;
  Tensor<double> average(Shape{1, f.shape()[0]});
  fill(average, 0.0);
  for (Index seed = 0; seed < draws; ++seed) {
    nn::Pass pass = nn::Pass::train(rng::Stream(static_cast<std::uint64_t>(seed)));
    add_scaled(average, 1.0 / static_cast<double>(draws), nn::linear(f.form(), in, pass).value());
  }
  nn::Pass eval;
  CHECK(loru_test::difference(average, nn::linear(f.form(), in, eval).value()) < 0.2);  // the mean over masks
}
