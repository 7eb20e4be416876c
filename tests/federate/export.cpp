// federate export: adapters of runs, with their merges, and merged weights; runs that begin at an adapter.

#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/io/safetensors.hpp>

#include "federate/program.hpp"

using namespace loru_test;
using namespace loru;

namespace {

const std::string prefix = "base_model.model.";

/// Runs the tiny federation with its first model kept.
fs::path run(const Scratch& scratch, const std::string& out, Arguments more = {}) {
  Arguments arguments{"--set", "federation.keep_rounds=[0]", "--set", "federation.keep_merges=true"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Result result = run_tiny(scratch.path, out, arguments);
  INFO(result.err);
  REQUIRE(result.code == 0);
  return scratch.path / out;
}

Result export_run(const Scratch& scratch, const fs::path& run, Arguments more) {
  Arguments arguments{"export", run.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

/// x += s·B·A, in double.
void add_product(Tensor<double>& x, const io::Archive& file, const std::string& layer, double alpha) {
  const auto a = file.get<float>(layer + ".lora_A.weight"), b = file.get<float>(layer + ".lora_B.weight");
  const Index rank = a.dim(0), n = a.size() / rank, m = b.dim(0);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < rank; ++k)
        x.data()[i * n + j] += alpha / static_cast<double>(rank) *
                               static_cast<double>(b.data()[i * rank + k]) *
                               static_cast<double>(a.data()[k * n + j]);
}

Tensor<double> wide(const Tensor<float>& x) {
  Tensor<double> y(x.shape());
  std::copy(x.data(), x.data() + x.size(), y.data());
  return y;
}

/// The weights of a model file with W + s·B·A formed.
std::map<std::string, Tensor<double>> effective(const io::Archive& file) {
  std::map<std::string, Tensor<double>> all;
  for (const std::string& name : file.names())
    if (name.find(".lora_") == std::string::npos && name.find(".core_") == std::string::npos)
      all[name] = wide(file.get<float>(name));
  for (auto& [name, w] : all) {
    const std::string layer = name.substr(0, name.rfind('.'));
    if (!name.ends_with(".weight") || !file.contains(layer + ".lora_A.weight")) continue;
    const bool own = file.metadata().contains(layer + ".alpha");
    add_product(w, file, layer, std::stod(file.metadata().find(own ? layer + ".alpha" : "alpha")->second));
  }
  return all;
}

/// The weights of a model with an adapter on top.
std::map<std::string, Tensor<double>> adapted(std::map<std::string, Tensor<double>> weights,
                                              const fs::path& folder) {
  const auto file = io::load(folder / "adapter_model.safetensors");
  const auto configuration = nlohmann::json::parse(read(folder / "adapter_config.json"));
  for (auto& [name, w] : weights) {
    const std::string own = name.substr(0, name.rfind('.')), layer = prefix + own;
    const bool bias = name.ends_with(".bias");
    if (file.contains(prefix + name)) w = wide(file.get<float>(prefix + name));
    if (bias && file.contains(layer + ".base_layer.bias"))
      w = wide(file.get<float>(layer + ".base_layer.bias"));
    if (bias || !file.contains(layer + ".lora_A.weight")) continue;
    const double rank = static_cast<double>(file.raw(layer + ".lora_A.weight").shape[0]);
    const double alpha =
        configuration["alpha_pattern"].value('^' + own, configuration["lora_alpha"].get<double>());
    add_product(w, file, layer, alpha * (configuration["use_rslora"] ? std::sqrt(rank) : 1.0));
  }
  return weights;
}

void check_close(const std::map<std::string, Tensor<double>>& got,
                 const std::map<std::string, Tensor<double>>& expected) {
  REQUIRE(got.size() == expected.size());
  for (const auto& [name, y] : expected) {
    INFO(name);
    REQUIRE(got.contains(name));
    const auto& x = got.at(name);
    REQUIRE(x.shape() == y.shape());
    double error = 0.0, scale = 0.0;
    for (Index i = 0; i < x.size(); ++i) {
      error = std::max(error, std::abs(x.data()[i] - y.data()[i]));
      scale = std::max(scale, std::abs(y.data()[i]));
    }
    CHECK(error <= 1e-6 * scale);
  }
}

/// The run's adapter on the weights that it or `began` began with, its merged weights, and the model that it
/// saved are one.
void check_export(const Scratch& scratch, const fs::path& out, fs::path began = {}) {
  if (began.empty()) began = out;
  const fs::path adapter = out / "adapter", merged = out / "merged.safetensors";
  const Result result = export_run(scratch, out, {"--peft", adapter.string(), "--merged", merged.string()});
  INFO(result.err);
  REQUIRE(result.code == 0);
  const auto last = effective(io::load(merged));
  const io::Archive saved = io::load(out / "model.safetensors");
  if (!saved.contains("fc2.core_R.weight")) check_close(effective(saved), last);
  check_close(adapted(effective(io::load(began / "rounds" / "0.safetensors")), adapter), last);
}

std::string refused(const Scratch& scratch, const fs::path& out) {
  const Result result = export_run(scratch, out, {"--peft", (out / "adapter").string()});
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  check_one_line(result);
  CHECK_FALSE(fs::exists(out / "adapter"));
  return result.err;
}

}  // namespace

TEST_CASE("federate export: the factors of all merges are one adapter") {
  const Scratch scratch;
  const fs::path out = run(scratch, "out");
  CHECK(names_in(out / "merges") == std::vector<std::string>{"2.safetensors", "4.safetensors"});
  check_export(scratch, out);
  const auto json = nlohmann::json::parse(read(out / "adapter" / "adapter_config.json"));
  CHECK(json["r"] == 12);  // two merges and what came after them, of rank 4
  CHECK(json["lora_alpha"] == 12);
  CHECK(json["peft_type"] == "LORA");
  CHECK(json["task_type"].is_null());
  CHECK(json["target_modules"] == nlohmann::json({"fc2"}));
  CHECK(json["modules_to_save"] == nlohmann::json({"fc1", "fc3"}));
  CHECK(json["bias"] == "lora_only");
  CHECK(json["rank_pattern"].empty());
  CHECK(json["alpha_pattern"].empty());
  CHECK(json["use_rslora"] == false);
  const auto merged = io::load(out / "merged.safetensors");
  CHECK(merged.metadata().at("format") == "pt");

  const std::string tensors = read(out / "adapter" / "adapter_model.safetensors"),
                    configuration = read(out / "adapter" / "adapter_config.json");
  check_export(scratch, out);
  CHECK(read(out / "adapter" / "adapter_model.safetensors") == tensors);
  CHECK(read(out / "adapter" / "adapter_config.json") == configuration);

  run(scratch, "out", {"--set", "algorithm.tau=9"});  // none of the former run's merges stay
  CHECK(names_in(out / "merges").empty());
  check_export(scratch, out);
  CHECK(nlohmann::json::parse(read(out / "adapter" / "adapter_config.json"))["r"] == 4);
}

TEST_CASE("federate export: other scales, ranks, starts and merges") {
  const Scratch scratch;
  const auto with = [&](Arguments set) {
    Arguments arguments;
    for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
    const fs::path out = run(scratch, "out", arguments);
    check_export(scratch, out);
    return nlohmann::json::parse(read(out / "adapter" / "adapter_config.json"));
  };
  const auto rs = with({"lowrank.rslora=true"});
  CHECK(rs["use_rslora"] == true);
  CHECK(rs["lora_alpha"].get<double>() == Approx(4.0 / std::sqrt(4.0) * std::sqrt(12.0)).epsilon(1e-12));
  CHECK(with({"algorithm.merge=keep"})["r"] == 12);
  CHECK(with({"lowrank.start=svd"})["r"] == 16);  // the part that the factors took from W goes along
  const auto two = with({"lowrank.ranks=[2, 3]", R"(lowrank.layers=["fc1", "fc2"])"});
  CHECK(two["r"] == 6);
  CHECK(two["lora_alpha"] == 12);
  CHECK(two["rank_pattern"] == nlohmann::json::parse(R"({"^fc2": 9})"));
  CHECK(two["alpha_pattern"].empty());
  const auto scales = with({"lowrank.alpha=0", "lowrank.ranks=[2, 3]", R"(lowrank.layers=["fc1", "fc2"])"});
  CHECK(scales["lora_alpha"] == 6);
  CHECK(scales["alpha_pattern"] == nlohmann::json::parse(R"({"^fc2": 9})"));
  const auto convolutions = with(
      {"model.name=cnn", R"(lowrank.layers=["conv2", "fc1"])", "federation.rounds=2", "algorithm.tau=1"});
  CHECK(convolutions["target_modules"] == nlohmann::json({"conv2", "fc1"}));
  const auto file = io::load(scratch.path / "out" / "adapter" / "adapter_model.safetensors");
  CHECK(file.raw(prefix + "conv2.lora_A.weight").shape == Shape{12, 32, 5, 5});
  CHECK(file.raw(prefix + "conv2.lora_B.weight").shape == Shape{64, 12, 1, 1});
  CHECK(with({"model.name=resnet10", "model.narrow=16", "lowrank.rank=1", R"(lowrank.layers=["layer1.0.*"])",
              "federation.rounds=1"})["target_modules"] == "layer1\\.0\\.conv1|layer1\\.0\\.conv2");
}

TEST_CASE("federate export: every algorithm gives an adapter or is refused by name") {
  const Scratch scratch;
  const std::set<std::string> dense{"fedavg", "fedprox", "scaffold", "local"}, other{"fedpara", "fedhm"},
      changes{"fedmud"};
  for (const std::string& name : fl::algorithm_names()) {
    INFO(name);
    const fs::path out =
        run(scratch, name,
            {"--set", "algorithm.name=" + name, "--set", "algorithm.tau=1", "--set", "federation.rounds=2"});
    if (dense.contains(name))
      CHECK_THAT(refused(scratch, out),
                 ContainsSubstring("export: expected layers W + s·B·A, got none under " + name +
                                   "; --merged writes the weights"));
    else if (other.contains(name))
      CHECK_THAT(refused(scratch, out), ContainsSubstring(name + "; --merged writes the weights"));
    else if (changes.contains(name))
      CHECK_THAT(refused(scratch, out), ContainsSubstring(name + " changed it otherwise"));
    else
      check_export(scratch, out);
    if (fs::exists(out / "adapter")) continue;
    const fs::path merged = out / "merged.safetensors";
    CHECK(export_run(scratch, out, {"--merged", merged.string()}).code == 0);
    CHECK(io::load(merged).contains("fc2.weight"));
  }
}

TEST_CASE("federate export: what an adapter cannot say") {
  const Scratch scratch;
  const auto without = [&](Arguments set) {
    Arguments arguments;
    for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
    return refused(scratch, run(scratch, "out", arguments));
  };
  CHECK_THAT(without({"federation.keep_merges=false"}),
             ContainsSubstring(
                 "export: layer fc2: expected W to be what it was at the start with the 0 merges kept"));
  CHECK_THAT(without({"federation.warmup_rounds=2"}),
             ContainsSubstring("fedloru with a warm-up changed it otherwise"));
  CHECK_THAT(without({"algorithm.name=flora", "server.optimizer=fedadam"}),
             ContainsSubstring("flora changed it otherwise"));
  CHECK_THAT(
      without({"algorithm.name=local", "algorithm.layers=low_rank"}),
      ContainsSubstring("export: --peft: expected an algorithm that trains the server's model, got local"));
  const fs::path out = run(scratch, "out");
  check_one_line(export_run(scratch, out, {}));
  CHECK(export_run(scratch, out, {}).code == 2);
  CHECK(export_run(scratch, scratch.path / "none", {"--peft", "x"}).code == 2);
  write(scratch.path / "file", "text");
  const Result result = export_run(scratch, out, {"--peft", (scratch.path / "file").string()});
  CHECK(result.code == 2);
  check_one_line(result);
}

TEST_CASE("federate export: nothing is written over what a run needs") {
  const Scratch scratch;
  const fs::path first = run(scratch, "first");
  check_export(scratch, first);
  const fs::path adapter = first / "adapter",
                 second = run(scratch, "second", {"--set", "lowrank.start=peft:" + adapter.string()});
  fs::create_symlink(second, scratch.path / "link");
  const auto refused = [&](const char* option, const fs::path& target) {
    INFO(option << ' ' << target);
    const bool file = fs::is_regular_file(target);
    const std::string before = file ? read(target) : "";
    const Result result = export_run(scratch, second, {option, target.string()});
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK_THAT(result.err, ContainsSubstring(std::string("export: ") + option + ": expected "));
    if (file) CHECK(read(target) == before);
  };
  for (const char* own :
       {"model.safetensors", "config.toml", "summary.json", "rounds.csv", "clients.csv", "best.safetensors",
        "characters.txt", "rounds/0.safetensors", "merges/2.safetensors", "merges/../model.safetensors",
        "checkpoint/new.safetensors", ""})
    refused("--merged", second / own);
  refused("--merged", scratch.path / "link" / "model.safetensors");
  refused("--merged", adapter / "adapter_model.safetensors");
  refused("--merged", adapter / "more.safetensors");
  refused("--merged", "");
  refused("--peft", "");
  refused("--peft", adapter);
  for (const char* own : {"merges", "rounds", "clients"}) refused("--peft", second / own);
  check_export(scratch, second, first);  // and the run is whole
}

TEST_CASE("federate export: merged weights are written where there is no adapter") {
  const Scratch scratch;
  const fs::path out = run(scratch, "out", {"--set", "algorithm.name=fedavg"}),
                 merged = out / "merged.safetensors";
  const Result result =
      export_run(scratch, out, {"--peft", (out / "adapter").string(), "--merged", merged.string()});
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(io::load(merged).contains("fc2.weight"));
}

TEST_CASE("federate: a run begins at an adapter") {
  const Scratch scratch;
  const fs::path first = run(scratch, "first");
  check_export(scratch, first);
  const std::string start = "lowrank.start=peft:" + (first / "adapter").string();
  const fs::path second = run(scratch, "second", {"--set", start});
  check_close(effective(io::load(second / "rounds" / "0.safetensors")),
              effective(io::load(first / "model.safetensors")));
  CHECK_THAT(read(second / "config.toml"), ContainsSubstring("ranks = [ 12 ]"));
  check_export(scratch, second, first);  // relative to the weights alone, not to the adapter that it began at
  CHECK(nlohmann::json::parse(read(second / "adapter" / "adapter_config.json"))["r"] == 36);
  const Result over = export_run(scratch, second, {"--peft", (first / "adapter").string()});
  CHECK(over.code == 2);
  CHECK_THAT(over.err,
             ContainsSubstring("export: --peft: expected another folder than that of lowrank.start"));
  // What config.toml says trains the same model again.
  const Result again =
      federate(scratch.path, {(second / "config.toml").string(), "--out", (scratch.path / "third").string()});
  INFO(again.err);
  REQUIRE(again.code == 0);
  CHECK(summary(second)["model_sha256"] == summary(scratch.path / "third")["model_sha256"]);
}

TEST_CASE("federate: adapters that do not fit are refused before the first round") {
  const Scratch scratch;
  const fs::path out = run(scratch, "first");
  check_export(scratch, out);
  const std::string folder = (out / "adapter").string();
  const auto error = [&](Arguments set) {
    Arguments arguments{"--describe", "--set", "lowrank.start=peft:" + folder};
    for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
    const Result result = run_tiny(scratch.path, "second", arguments);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK_THAT(error({"lowrank.start=peft:" + folder + "/none"}),
             ContainsSubstring("none/adapter_config.json"));
  CHECK_THAT(error({"lowrank.start=peft:"}), ContainsSubstring("expected \"zero\", \"svd\" or \"peft:DIR\""));
  CHECK_THAT(error({"lowrank.start=sdv"}), ContainsSubstring("nearest is \"svd\""));
  CHECK_THAT(error({"model.name=logistic"}),
             ContainsSubstring(": tensor base_model.model.fc2.lora_A.weight: expected"));
  CHECK_THAT(error({"data.classes=5"}),
             ContainsSubstring("tensor base_model.model.fc3.bias: expected shape (5), got (4)"));
  CHECK_THAT(error({"algorithm.name=fedavg"}),
             ContainsSubstring("lowrank.start: expected zero for fedavg, which trains no factors"));
  CHECK_THAT(error({"algorithm.name=fedpara"}),
             ContainsSubstring("layer fc2: expected a layer that is W + s·B·A"));
  CHECK_THAT(error({"federation.warmup_rounds=1"}),
             ContainsSubstring("federation.warmup_rounds: expected 0 with lowrank.start = peft:"));
  write(out / "adapter" / "adapter_config.json", R"({"peft_type": "LORA", "r": )" + std::string(100, '['));
  CHECK_THAT(error({}), ContainsSubstring("adapter_config.json: expected JSON of at most 64 values"));
}
