#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

using V = Variable<float>;
using Strings = std::vector<std::string>;

Index count(nn::Model<float>& model) {
  Index n = 0;
  for (const auto& p : model.parameters()) n += p.value.value().size();
  return n;
}

Strings names(nn::Model<float>& model) {
  Strings all;
  for (const auto& p : model.parameters()) all.push_back(p.name);
  return all;
}

}  // namespace

TEST_CASE("models: parameters of each, by number") {
  const nn::ModelOptions gray{}, color{.channels = 3, .height = 32, .width = 32};
  const auto parameters = [](const char* name, const nn::ModelOptions& o) {
    nn::Model<float> model = nn::build<float>(name, o);
    return count(model);
  };
  CHECK(parameters("logistic", gray) == 7850);
  CHECK(parameters("mlp", gray) == 784 * 256 + 256 + 256 * 256 + 256 + 2560 + 10);
  CHECK(parameters("cnn", gray) == 1663370);
  CHECK(parameters("lenet", gray) == 61706);
  CHECK(parameters("resnet10", color) == 4903242);
  CHECK(parameters("resnet18", color) == 11173962);
}

TEST_CASE("models: parameters of each, by name") {
  nn::Model<float> cnn = nn::cnn<float>();
  CHECK(names(cnn) == Strings{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc1.weight",
                              "fc1.bias", "fc2.weight", "fc2.bias"});
  nn::Model<float> mlp = nn::build<float>("mlp", {});
  CHECK(names(mlp) == Strings{"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias", "fc3.weight", "fc3.bias"});

  const nn::ModelOptions small{.channels = 3, .height = 8, .width = 8, .narrow = 16};
  nn::Model<float> ten = nn::build<float>("resnet10", small);
  const Strings all = names(ten);
  CHECK(Strings(all.begin(), all.begin() + 9) ==
        Strings{"conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer1.0.bn1.weight",
                "layer1.0.bn1.bias", "layer1.0.conv2.weight", "layer1.0.bn2.weight", "layer1.0.bn2.bias"});
  CHECK(std::find(all.begin(), all.end(), "layer2.0.downsample.0.weight") != all.end());
  CHECK(all.back() == "fc.bias");
  CHECK(ten.buffers().front().name == "bn1.running_mean");

  nn::ModelOptions group = small;
  group.norm = nn::Norm::group;
  nn::Model<float> grouped = nn::build<float>("resnet10", group);
  CHECK(names(grouped) == all);
  CHECK(grouped.buffers().empty());
}

TEST_CASE("models: each maps images to classes, in training and evaluation") {
  for (const std::string& name : nn::model_names()) {
    INFO(name);
    nn::Model<float> model =
        nn::build<float>(name, {.channels = 2, .height = 13, .width = 12, .classes = 7, .narrow = 8});
    const V x(gaussian<float>({3, 2, 13, 12}));
    CHECK(model(x).shape() == Shape{3, 7});
    CHECK(model(x, nn::Pass::train()).shape() == Shape{3, 7});
    CHECK(all_finite(model(x).value()));
  }
}

TEST_CASE("models: the seed decides the initial values") {
  const auto first = [](std::uint64_t seed) {
    return nn::build<float>("mlp", {.height = 4, .width = 4, .seed = seed}).parameters()[0].value.value();
  };
  CHECK(same_bits(first(1), first(1)));
  CHECK_FALSE(same_bits(first(1), first(2)));
  nn::Model<float> model = nn::build<float>("mlp", {.height = 16, .width = 16});
  const auto p = model.parameters();
  CHECK_FALSE(same_bits(p[0].value.value(), p[2].value.value()));  // equal shapes, different streams
}

TEST_CASE("models: unknown names and sizes that cannot be") {
  CHECK_THROWS_WITH(nn::build<float>("resnet19", {}),
                    "model: unknown name 'resnet19', did you mean 'resnet10'?");
  CHECK_THROWS_WITH(nn::build<float>("lenet", {.height = 8, .width = 8}),
                    "lenet: expected images of at least 12 x 12, got 8 x 8");
  CHECK_THROWS_AS(nn::build<float>("resnet10", {.narrow = 0}), ConfigError);
  nn::Model<float> cnn = nn::cnn<float>();
  CHECK_THROWS_AS(cnn(V(gaussian<float>({1, 3, 28, 28}))), ShapeError);
}

TEST_CASE("model: a copy has what is trained and shares what is frozen") {
  nn::Model<float> model = nn::build<float>("resnet10", {.height = 8, .width = 8, .narrow = 16});
  model.visit({.parameter = [](const std::string& name, V& v) {
    if (name == "layer1.0.conv1.weight") v.set_requires_grad(false);
  }});
  nn::Model<float> copy = model;
  const auto a = model.parameters(), b = copy.parameters();
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO(a[i].name);
    const bool frozen = a[i].name == "layer1.0.conv1.weight";
    CHECK(b[i].value.requires_grad() == !frozen);
    CHECK((a[i].value.value().data() == b[i].value.value().data()) == frozen);
    CHECK(same_bits(a[i].value.value(), b[i].value.value()));
  }
  CHECK(model.trained_parameters().size() == a.size() - 1);
  CHECK(model.state().size() == a.size() - 1 + model.buffers().size());

  const V x(gaussian<float>({2, 1, 8, 8}));
  CHECK(same_bits(copy(x).value(), model(x).value()));
  sum(copy(x, nn::Pass::train())).backward();
  for (const auto& p : model.parameters()) CHECK_FALSE(p.value.gradient());
  nn::Model<float> assigned;
  assigned = copy;
  CHECK(same_bits(assigned(x).value(), copy(x).value()));
}
