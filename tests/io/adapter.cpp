// Reading adapters in PEFT's format: what is taken, and what is refused by name.

#include <loru/io/pretrained/adapter.hpp>

#include <cmath>
#include <string>

#include "support/catch.hpp"

using namespace loru;
using loru_test::ContainsSubstring;

namespace {

const std::string prefix = "base_model.model.";

/// Factors of rank r of a layer (m, n).
void put_layer(io::Archive& archive, const std::string& layer, Index r, Index m = 5, Index n = 4) {
  Tensor<float> a({r, n}), b({m, r});
  for (Index i = 0; i < a.size(); ++i) a.data()[i] = static_cast<float>(i);
  for (Index i = 0; i < b.size(); ++i) b.data()[i] = static_cast<float>(-i);
  archive.put(prefix + layer + ".lora_A.weight", a);
  archive.put(prefix + layer + ".lora_B.weight", b);
}

io::Archive two_layers() {
  io::Archive archive("file");
  put_layer(archive, "model.layers.1.q", 2);
  put_layer(archive, "model.layers.11.q", 3);
  return archive;
}

/// A configuration of rank 2 with more members.
std::string configuration(const std::string& more = "") {
  return R"({"peft_type": "LORA", "r": 2, "lora_alpha": 6, "rank_pattern": {"11.q": 3})" +
         (more.empty() ? "" : ", " + more) + "}";
}

io::Adapter read(const io::Archive& archive, const std::string& json) {
  return io::adapter_of(archive, io::parse_json(json, "json"), "json");
}

std::string error(const io::Archive& archive, const std::string& json) {
  try {
    read(archive, json);
  } catch (const DataError& wrong) {
    return wrong.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("adapter: factors, ranks and scales of each layer") {
  const io::Adapter adapter =
      read(two_layers(), configuration(R"("alpha_pattern": {"^model.layers.1.q": 1.5})"));
  REQUIRE(adapter.layers.size() == 2);
  const io::AdapterLayer& first = adapter.layers.at("model.layers.1.q");
  CHECK(first.a.shape() == Shape{2, 4});
  CHECK(first.b.shape() == Shape{5, 2});
  CHECK(first.a.data()[7] == 7.0);
  CHECK(first.b.data()[9] == -9.0);
  CHECK(first.alpha == 1.5);
  CHECK(adapter.layers.at("model.layers.11.q").rank() == 3);
  CHECK(adapter.layers.at("model.layers.11.q").alpha == 6.0);
  CHECK(adapter.modules.empty());
  CHECK_FALSE(adapter.rslora);
}

TEST_CASE("adapter: the first pattern that matches counts, at a dot or from the start") {
  const auto alpha = [](const std::string& pattern) {
    return read(two_layers(), configuration(R"("alpha_pattern": )" + pattern))
        .layers.at("model.layers.11.q")
        .alpha;
  };
  CHECK(alpha(R"({"q": 1, "layers.11.q": 2})") == 1.0);
  CHECK(alpha(R"({"layers.1.q": 1, "layers.11.q": 2})") == 2.0);
  CHECK(alpha(R"({"1.q": 1})") == 6.0);
  CHECK(alpha(R"({"^layers.11.q": 1})") == 6.0);
  CHECK(alpha(R"({"layers\\.11\\.q$": 1})") == 1.0);
}

TEST_CASE("adapter: rsLoRA scales by the root of the rank") {
  const io::Adapter adapter = read(two_layers(), configuration(R"("use_rslora": true)"));
  CHECK(adapter.rslora);
  CHECK(adapter.layers.at("model.layers.1.q").alpha == 6.0 * std::sqrt(2.0));
  CHECK(adapter.layers.at("model.layers.11.q").alpha == 6.0 * std::sqrt(3.0));
}

TEST_CASE("adapter: windows, halves, saved modules and biases") {
  io::Archive archive("file");
  archive.put(prefix + "conv.lora_A.weight", Tensor<double>({1, 2, 3, 3}));
  archive.put(prefix + "conv.lora_B.weight", Tensor<double>({4, 1, 1, 1}));
  archive.put(prefix + "conv.base_layer.bias", Tensor<float>({4}));
  const std::uint16_t halves[] = {0x3c00, 0xc000};  // 1 and -2
  archive.put_raw(prefix + "head.out.weight", {io::DType::f16, {2}, std::as_bytes(std::span(halves))});
  archive.put(prefix + "head.norm.num_batches_tracked", Tensor<std::int64_t>({1}));
  const io::Adapter adapter = read(
      archive, R"({"peft_type": "LORA", "r": 1, "bias": "lora_only", "modules_to_save": ["head", "score"]})");
  CHECK(adapter.layers.at("conv").a.shape() == Shape{1, 2, 3, 3});
  CHECK(adapter.layers.at("conv").b.shape() == Shape{4, 1});
  CHECK(adapter.layers.at("conv").alpha == 8.0);  // PEFT's default
  REQUIRE(adapter.values.size() == 2);
  CHECK(adapter.values.at("conv.bias").shape() == Shape{4});
  CHECK(adapter.values.at("head.out.weight").data()[0] == 1.0);
  CHECK(adapter.values.at("head.out.weight").data()[1] == -2.0);
}

TEST_CASE("adapter: configurations that are refused") {
  const auto wrong = [](const std::string& json) { return error(two_layers(), json); };
  const auto with = [&](const std::string& more) { return wrong(configuration(more)); };
  CHECK(wrong("[]") == "json: expected an object, got an array");
  CHECK(wrong("{}") == "json: expected a member 'peft_type', got none");
  CHECK(wrong(R"({"peft_type": "IA3"})") == "json: peft_type: expected \"LORA\", got \"IA3\"");
  CHECK(wrong(R"({"peft_type": 3})") == "json: peft_type: expected a string, got a whole number");
  CHECK(with(R"("use_dora": true)") == "json: use_dora: expected null, false or nothing in it, got true");
  CHECK(with(R"("kasa_config": {"beta": 1})") ==
        "json: kasa_config: expected null, false or nothing in it, got an object");
  CHECK(with(R"("fan_in_fan_out": true)") ==
        "json: fan_in_fan_out: expected null, false or nothing in it, got true");
  CHECK(with(R"("bias": "all")") == "json: bias: expected \"none\" or \"lora_only\", got \"all\"");
  CHECK(with(R"("init_lora_weights": "pissa")") ==
        "json: init_lora_weights: expected a start that leaves W as it is, got \"pissa\"");
  CHECK(with(R"("alpha_pattern": {"layers.(1|11).q": 3})") ==
        "json: alpha_pattern.layers.(1|11).q: expected a layer's name, got \"layers.(1|11).q\"");
  CHECK(with(R"("alpha_pattern": {"q": "3"})") == "json: alpha_pattern.q: expected a number, got a string");
  CHECK(with(R"("alpha_pattern": 3)") == "json: alpha_pattern: expected an object, got a whole number");
  CHECK(with(R"("modules_to_save": [3])") == "json: modules_to_save: expected a string, got a whole number");
  CHECK(wrong(R"({"peft_type": "LORA", "r": 0})") ==
        "json: r: expected a whole number in 1 .. 1048576, got 0");
  CHECK(wrong(R"({"peft_type": "LORA", "lora_alpha": 1e999})").starts_with("json: byte "));
  CHECK(wrong(R"({"peft_type": "LORA", "lora_alpha": 0})") ==
        "json: lora_alpha: expected a finite number other than 0, got 0");
  CHECK(with(R"("alpha_pattern": {"q": 0.0})") ==
        "json: alpha_pattern.q: expected a finite number other than 0, got 0");
  CHECK(wrong(R"({"peft_type": "LORA", "r": 2})") ==
        "file: tensor base_model.model.model.layers.11.q.lora_A.weight: expected (2, n) or (2, n, kh, kw) as "
        "the "
        "rank is 2, got shape (3, 4)");
}

TEST_CASE("adapter: tensors that are refused") {
  const auto with = [](auto change, const std::string& more = "") {
    io::Archive archive = two_layers();
    change(archive);
    return error(archive, configuration(more));
  };
  const std::string a = prefix + "model.layers.1.q.lora_A.weight",
                    b = prefix + "model.layers.1.q.lora_B.weight";
  CHECK(with([&](io::Archive& x) { x.erase(b); }) ==
        "file: tensor " + b + ": expected it beside lora_A, got none");
  CHECK(with([&](io::Archive& x) { x.erase(a); }) ==
        "file: tensor " + a + ": expected it beside lora_B, got none");
  CHECK(with([&](io::Archive& x) { x.put(b, Tensor<float>({5, 3})); }) ==
        "file: tensor " + b + ": expected (m, 2) as the rank is 2, got shape (5, 3)");
  CHECK(with([&](io::Archive& x) { x.put(b, Tensor<float>({5, 2, 1, 1})); }) ==
        "file: tensor " + b + ": expected (m, 2) as the rank is 2, got shape (5, 2, 1, 1)");
  CHECK(with([&](io::Archive& x) { x.put(a, Tensor<float>({2, 0})); }) ==
        "file: tensor " + a + ": expected (2, n) or (2, n, kh, kw) as the rank is 2, got shape (2, 0)");
  for (const auto& [value, text] : {std::pair{NAN, "nan"}, std::pair{-INFINITY, "-inf"}}) {
    Tensor<float> broken({2, 4});
    broken.data()[5] = value;
    CHECK(with([&](io::Archive& x) { x.put(a, broken); }) ==
          "file: tensor " + a + ": expected finite numbers, got " + text);
  }
  CHECK(with([&](io::Archive& x) { x.put(a, Tensor<std::int32_t>({2, 4})); }) ==
        "file: tensor " + a + ": expected F64, F32, F16 or BF16, got I32");
  for (const char* name : {"model.layers.1.q.lora_magnitude_vector", "model.layers.1.q.base_layer.bias",
                           "embed.lora_embedding_A", "embed.base_layer.weight"})
    CHECK(with([&](io::Archive& x) { x.put(prefix + name, Tensor<float>({2})); }) ==
          "file: tensor " + prefix + name +
              ": expected base_model.model.<layer>.lora_A.weight, lora_B.weight or a parameter's name, got "
              "shape (2)");
  CHECK(with([&](io::Archive& x) { x.put(prefix + "model.layers.1.q.weight", Tensor<float>({5, 4})); }) ==
        "file: tensor " + prefix + "model.layers.1.q.weight: expected none beside lora_A, got one");
  CHECK(with(
            [&](io::Archive& x) {
              for (const char* name : {"model.layers.1.q.base_layer.bias", "model.layers.1.q.bias"})
                x.put(prefix + name, Tensor<float>({5}));
            },
            R"("bias": "lora_only")") ==
        "file: tensor " + prefix + "model.layers.1.q.bias: expected one for each parameter, got two");
  CHECK(with([](io::Archive& x) {
          x.put("model.layers.1.q.lora_A.weight", Tensor<float>({2}));
        }).starts_with("file: tensor model.layers.1.q.lora_A.weight: expected base_model.model."));
  CHECK(with([](io::Archive&) {}, R"("target_modules": ["k", "layers.1.q"])") ==
        "file: tensor base_model.model.model.layers.11.q.lora_A.weight: expected a layer of target_modules");
  CHECK(with([](io::Archive&) {}, R"("target_modules": "model\\.layers\\.1\\.q|k")") ==
        "file: tensor base_model.model.model.layers.11.q.lora_A.weight: expected a layer of target_modules");
  for (const char* known :
       {R"("model\\.layers\\.1\\.q|model\\.layers\\.11\\.q")", R"(".*\\.q")", R"("all-linear")"})
    CHECK(with([](io::Archive&) {}, concat(R"("target_modules": )", known)) == "no error");
  for (const char* none : {"[]", R"("")"})
    CHECK(with([](io::Archive&) {}, concat(R"("target_modules": )", none))
              .starts_with("json: target_modules: expected the name of at least one layer, got "));
  CHECK(error(io::Archive("file"), configuration()) ==
        "file: expected a tensor base_model.model.<layer>.lora_A.weight, got none among 0");
  CHECK_THROWS_AS(io::load_adapter("/nowhere"), IoError);
}
