// Adapters and models that do not belong together, and names that do though they differ.

#include <loru/lowrank/product.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/adapter_file.hpp>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

/// fc1 (8, 4), fc2 (6, 8) and fc3 (3, 6), below `prefix`.
nn::Model<float> net(const std::string& prefix = "") {
  nn::Sequential<float> inner;
  Index in = 4, number = 0;
  for (const Index out : {8, 6, 3}) {
    ++number;
    inner.add(concat("fc", number),
              nn::Linear<float>({.in = in, .out = out}, rng::Stream(static_cast<std::uint64_t>(number))));
    in = out;
  }
  if (prefix.empty()) return inner;
  nn::Sequential<float> outer;
  outer.add(prefix, std::move(inner));
  return outer;
}

io::Adapter adapter_of(nn::Model<float> model) {
  lowrank::factorize(model, {.rank = 2, .alpha = 3.0, .layers = {"*fc1", "*fc2"}});
  lowrank::for_each_weight<nn::Factored>(model, [](const std::string&, nn::Factored<float>& w) {
    w.b().set_value(nn::uniform<float>(w.b().shape(), 1.0, rng::Stream(9)));
  });
  return io::to_adapter<float>(model);
}

std::string error(io::Adapter adapter) {
  auto model = net();
  try {
    io::add_adapter(model, adapter);
  } catch (const DataError& wrong) {
    return wrong.what();
  }
  return "no error";
}

std::vector<float> weights(nn::Model<float>& model) {
  std::vector<float> all;
  const io::Archive merged = io::merged_archive(model);
  for (const std::string& name : merged.names()) {
    const auto x = merged.get<float>(name);
    all.insert(all.end(), x.span().begin(), x.span().end());
  }
  return all;
}

}  // namespace

TEST_CASE("adapter: what is trained beside the factors goes along") {
  const io::Adapter adapter = adapter_of(net());
  CHECK(adapter.modules == std::vector<std::string>{"fc3"});
  std::vector<std::string> names;
  for (const auto& [name, value] : adapter.values) names.push_back(name);
  CHECK(names == std::vector<std::string>{"fc1.bias", "fc2.bias", "fc3.bias", "fc3.weight"});
  const auto tensors = io::to_archive<float>(adapter).names();
  CHECK(std::count(tensors.begin(), tensors.end(), "base_model.model.fc1.base_layer.bias") == 1);
  CHECK(std::count(tensors.begin(), tensors.end(), "base_model.model.fc3.weight") == 1);
  CHECK(io::to_archive<float>(adapter).metadata().at("format") == "pt");
}

TEST_CASE("adapter: a layer that was not published is saved whole, with its update") {
  auto model = net();
  nn::train_only(model, {});
  lowrank::factorize(model, {.rank = 2, .layers = {"fc2", "fc3"}});
  lowrank::for_each_weight<nn::Factored>(model, [](const std::string&, nn::Factored<float>& w) {
    w.b().set_value(nn::uniform<float>(w.b().shape(), 1.0, rng::Stream(9)));
  });
  const auto adapter =
      io::to_adapter<float>(model, {.published = {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}});
  CHECK(adapter.layers.size() == 1);
  CHECK(adapter.modules == std::vector<std::string>{"fc3"});
  auto again = net();
  io::add_adapter(again, adapter);
  CHECK(weights(again) == weights(model));
}

TEST_CASE("adapter: names without the model's prefix are found") {
  auto model = net("net"), same = net("net");
  const io::Adapter bare = adapter_of(net());
  CHECK(io::add_adapter(model, bare) == std::vector<std::string>{"net.fc1", "net.fc2"});
  io::add_adapter(same, adapter_of(net("net")));
  CHECK(weights(model) == weights(same));
  io::Adapter twice = bare;
  twice.layers["net.fc1"] = twice.layers.at("fc1");
  auto again = net("net");
  CHECK_THROWS_WITH(io::add_adapter(again, twice),
                    ContainsSubstring("expected one for the layer net.fc1, got two"));
}

TEST_CASE("adapter: what has changed without being trained goes along") {
  auto model = net();
  nn::train_only(model, {});
  lowrank::factorize(model, {.rank = 2, .layers = {"fc2"}});
  CHECK(io::to_adapter<float>(model).values.empty());
  const auto adapter = io::to_adapter<float>(model, {.changed = {"fc2.bias", "fc3.weight"}});
  CHECK(adapter.modules == std::vector<std::string>{"fc3"});
  std::vector<std::string> names;
  for (const auto& [name, value] : adapter.values) names.push_back(name);
  CHECK(names == std::vector<std::string>{"fc2.bias", "fc3.bias", "fc3.weight"});
}

TEST_CASE("adapter: statistics go along with their module") {
  auto model = nn::build<float>("resnet10", {.height = 8, .width = 8, .classes = 4, .narrow = 16});
  lowrank::factorize(model,
                     {.rank = 2, .layers = {"layer1.*"}, .small_layers = lowrank::SmallLayers::factor});
  model.buffers()[0].value.data()[0] = 0.75f;
  const io::Adapter adapter = io::to_adapter<float>(model);
  const auto tensors = io::to_archive<float>(adapter);
  // The end of its name is that of layers with factors: PEFT would save these whole as well.
  CHECK(std::count(adapter.modules.begin(), adapter.modules.end(), "conv1") == 0);
  CHECK(std::count(adapter.modules.begin(), adapter.modules.end(), "fc") == 1);
  CHECK(tensors.contains("base_model.model.conv1.weight"));
  CHECK(tensors.get<float>("base_model.model.bn1.running_mean").data()[0] == 0.75f);
  CHECK(tensors.raw("base_model.model.bn1.num_batches_tracked").shape == Shape{});
  auto again = nn::build<float>("resnet10", {.height = 8, .width = 8, .classes = 4, .narrow = 16});
  io::add_adapter(again, adapter);
  CHECK(weights(again) == weights(model));
}

TEST_CASE("adapter: another model, and tensors that are missing or of another shape") {
  const io::Adapter good = adapter_of(net());
  CHECK(error(good) == "no error");
  const auto with = [&](auto change) {
    io::Adapter adapter = good;
    change(adapter);
    return error(adapter);
  };
  CHECK(with([](io::Adapter& x) { x.layers["fc9"] = x.layers.at("fc1"); }) ==
        "adapter: tensor base_model.model.fc9.lora_A.weight: expected a layer of the model, nearest is fc1, "
        "got "
        "none of this name");
  CHECK(with([](io::Adapter& x) { x.layers["fc2"] = x.layers.at("fc1"); }) ==
        "adapter: tensor base_model.model.fc2.lora_A.weight: expected shape (2, 8), got (2, 4)");
  CHECK(with([](io::Adapter& x) { x.layers["fc1"].b = Tensor<double>({9, 2}); }) ==
        "adapter: tensor base_model.model.fc1.lora_B.weight: expected shape (8, 2), got (9, 2)");
  CHECK(with([](io::Adapter& x) { x.values["fc3.bias"] = Tensor<double>({4}); }) ==
        "adapter: tensor base_model.model.fc3.bias: expected shape (3), got (4)");
  CHECK(with([](io::Adapter& x) { x.values["fc3.scale"] = Tensor<double>({4}); }) ==
        "adapter: tensor base_model.model.fc3.scale: expected a parameter of the model, nearest is fc3.bias, "
        "got "
        "none of this name");
  CHECK(with([](io::Adapter& x) { x.values.erase("fc3.bias"); }) ==
        "adapter: tensor base_model.model.fc3.bias: expected it, as modules_to_save has fc3, got none");
  CHECK(
      with([](io::Adapter& x) {
        x.targets = {"fc1", "fc2"};
        x.layers.erase("fc2");
      }) ==
      "adapter: tensor base_model.model.fc2.lora_A.weight: expected it, as target_modules has fc2, got none");
}

TEST_CASE("adapter: layers of another parametrisation have none") {
  auto model = net(), dense = net();
  lowrank::factorize_product(model, {.rank = 2, .layers = {"fc1"}});
  CHECK_THROWS_AS(io::to_adapter<float>(model), ConfigError);
  CHECK_THROWS_AS(io::to_adapter<float>(dense), ConfigError);
  CHECK_THROWS_AS(io::set_adapter(dense, adapter_of(net())), ConfigError);
  CHECK_THROWS_AS(lowrank::factorize(dense, {.rank = 2, .start = {lowrank::Start::peft, "folder"}}),
                  ConfigError);
}
