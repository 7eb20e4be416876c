// model.keep_quantised: weights that stay as they are in their file.

#include <loru/io/safetensors.hpp>

#include "federate/program.hpp"
#include "support/gguf_llama.hpp"

using namespace loru_test;

namespace {

constexpr const char* tokenizer = LORU_SOURCE_DIR "/tests/golden/tokenizers/byte_pairs.json";  // 600 tokens
constexpr GgufLlama small{.vocabulary = 600, .width = 32, .layers = 2, .heads = 4, .groups = 2, .hidden = 64};

constexpr const char* configuration = R"(
seed = 3
[data]
name = "text"
train = "train"
test = "test.txt"
[text]
length = 16
target = "next"
[task]
kind = "next_token"
[partition]
kind = "natural"
[model]
name = "llama"
keep_quantised = true
[lowrank]
rank = 2
alpha = 4.0
layers = ["*.q_proj", "*.v_proj"]
[algorithm]
name = "fedlora"
[federation]
cohort = 2
rounds = 3
[client]
epochs = 1
batch = 4
)";

/// Two clients with a text each, a LLaMA of the type, and a configuration for them.
Arguments federation(const Scratch& scratch, BlockType type = BlockType::q4_1) {
  for (int client = 0; client < 2; ++client) {
    std::string text;
    for (int i = 0; i < 300; ++i) text += static_cast<char>('a' + i * (client + 3) % 23);
    write(scratch.path / "train" / (std::to_string(client) + ".txt"), text);
  }
  write(scratch.path / "test.txt", "abcdefghijabcdefghijabcdefghij");
  const auto bytes = small.file(type).bytes();
  write(scratch.path / "llama.gguf", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  write(scratch.path / "run.toml", configuration);
  return {(scratch.path / "run.toml").string(),
          "--data-dir",
          scratch.path.string(),
          "--set",
          "text.tokenizer=" + std::string(tokenizer),
          "--set",
          "model.weights=" + (scratch.path / "llama.gguf").string()};
}

Result run(const Scratch& scratch, Arguments arguments, const Arguments& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

nlohmann::json summary_of(const Scratch& scratch, const Arguments& arguments, Arguments more) {
  const fs::path out = scratch.path / "out";
  more.insert(more.end(), {"--out", out.string(), "--quiet"});
  const Result result = run(scratch, arguments, more);
  INFO(result.err);
  REQUIRE(result.code == 0);
  return nlohmann::json::parse(read(out / "summary.json"));
}

}  // namespace

TEST_CASE("federate: weights in blocks give the model that decoded ones give, in each type") {
  const Scratch scratch;
  const BlockType type = GENERATE(from_range(block_types));
  CAPTURE(format_of(type).name);
  const Arguments arguments = federation(scratch, type);
  const auto kept = summary_of(scratch, arguments, {"--threads", "2"});
  const std::string out = (scratch.path / "out").string();
  const auto say = [&] {
    return federate(scratch.path, {"generate", out, "--prompt", "abc", "--data-dir", scratch.path.string()});
  };
  const Result said = say();
  INFO(said.err);
  CHECK(said.code == 0);
  const auto whole = summary_of(scratch, arguments, {"--set", "model.keep_quantised=false"});
  CHECK(kept["model_sha256"] == whole["model_sha256"]);
  CHECK(kept["final_test_loss"] == whole["final_test_loss"]);
  CHECK(kept["update_rank"] == whole["update_rank"]);
  CHECK(said.out == say().out);
  const Index matrices = 600 * 32 + 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 64);
  CHECK(kept["parameters_in_blocks"] == matrices);
  const Index others = kept["parameters_total"].get<Index>() - matrices;
  CHECK(kept["parameter_bytes"] == matrices / format_of(type).weights * format_of(type).bytes + 4 * others);
  CHECK(!whole.contains("parameters_in_blocks"));
}

TEST_CASE("federate: every low-rank algorithm trains beside weights in blocks") {
  const std::string algorithm = GENERATE(
      as<std::string>(), "fedpara", "ffa_lora", "rolora", "flora", "fedex_lora", "flexlora", "hetlora",
      "mfedloru", "fedhm", "fedsa_lora", "pfedloru", "fedmomentum", "fedmud", "raflora", "fed_sb", "fedloru");
  CAPTURE(algorithm);
  const Scratch scratch;
  const Arguments arguments = federation(scratch);
  Arguments more{"--set", "algorithm.name=" + algorithm};
  if (algorithm.ends_with("fedloru"))
    more.insert(more.end(), {"--set", "algorithm.tau=2", "--set", "algorithm.merge=keep"});
  if (algorithm == "pfedloru") more.insert(more.end(), {"--set", "algorithm.personal_rank=2"});
  if (algorithm == "mfedloru")
    more.insert(more.end(), {"--set", "ranks.rule=fixed", "--set", "ranks.values=[1,2]"});
  const auto kept = summary_of(scratch, arguments, more);
  more.insert(more.end(), {"--set", "model.keep_quantised=false"});
  CHECK(kept["model_sha256"] == summary_of(scratch, arguments, more)["model_sha256"]);
}

TEST_CASE("federate: a named weight is trained, the others stay in blocks") {
  const Scratch scratch;
  const Arguments arguments = federation(scratch);
  Arguments more{"--set", R"(model.train=["*.o_proj.weight"])"};
  const auto kept = summary_of(scratch, arguments, more);
  CHECK(kept["parameters_in_blocks"] == 600 * 32 + 2 * (32 * 32 + 2 * 16 * 32 + 3 * 32 * 64));
  more.insert(more.end(), {"--set", "model.keep_quantised=false"});
  CHECK(kept["model_sha256"] == summary_of(scratch, arguments, more)["model_sha256"]);
}

TEST_CASE("federate: --describe says what weights in blocks take") {
  const Scratch scratch;
  const Result result = run(scratch, federation(scratch), {"--describe"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK_THAT(result.out, ContainsSubstring("\n  37,632 of them stay as they are in the file: 26.0 kB in "
                                           "memory, as floats 153 kB\n"));
}

TEST_CASE("federate: where no weight can stay in blocks") {
  const Scratch scratch;
  const Arguments arguments = federation(scratch);
  const auto error = [&](const Arguments& more) {
    const Result result = run(scratch, arguments, more);
    CHECK(result.code == 2);
    CHECK(lines(result.err).size() == 1);
    return result.err;
  };
  const std::string expected =
      "model.keep_quantised: expected model.weights with frozen matrices in Q8_0, Q4_0, Q4_1, F16 or BF16, "
      "got "
      "none in \"";
  CHECK_THAT(
      error({"--set", "algorithm.name=fedavg"}),
      ContainsSubstring("model.keep_quantised: expected false under fedavg, which trains all weights"));
  CHECK_THAT(error({"--set", R"(model.train=["*"])"}), ContainsSubstring(expected));
  CHECK_THAT(error({"--set", "model.weights=\"\""}), ContainsSubstring(expected + '"'));
  CHECK_THAT(error({"--device", "cuda", "--describe"}),
             ContainsSubstring("model.keep_quantised: expected false on the device cuda, got true"));
}

TEST_CASE("federate export: weights in blocks give the files that decoded ones give") {
  const Scratch scratch;
  const Arguments arguments = federation(scratch);
  const fs::path adapter = scratch.path / "adapter", merged = scratch.path / "merged.safetensors";
  const auto written = [&](const std::string& keep) {
    summary_of(scratch, arguments,
               {"--set", "algorithm.name=fedloru", "--set", "algorithm.tau=2", "--set",
                "model.keep_quantised=" + keep});
    const Result result =
        federate(scratch.path, {"export", (scratch.path / "out").string(), "--peft", adapter.string(),
                                "--merged", merged.string(), "--data-dir", scratch.path.string()});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return read(adapter / "adapter_model.safetensors") + read(adapter / "adapter_config.json") + read(merged);
  };
  const std::string kept = written("true");
  CHECK(kept == written("false"));
}

TEST_CASE("federate: a run that begins at an adapter passes on what that saved whole") {
  const Scratch scratch;
  const Arguments arguments = federation(scratch);
  const auto output_of = [&](const std::string& name, const Arguments& more) {
    summary_of(scratch, arguments, more);
    const fs::path folder = scratch.path / name;
    const Result result = federate(scratch.path, {"export", (scratch.path / "out").string(), "--peft",
                                                  folder.string(), "--data-dir", scratch.path.string()});
    INFO(result.err);
    REQUIRE(result.code == 0);
    const auto w = loru::io::load(folder / "adapter_model.safetensors")
                       .get<float>("base_model.model.model.layers.1.self_attn.o_proj.weight");
    return std::vector<float>(w.span().begin(), w.span().end());
  };
  const auto trained = output_of("first", {"--set", R"(model.train=["*.o_proj.weight"])"});
  CHECK(trained == output_of("second", {"--set", "lowrank.start=peft:" + (scratch.path / "first").string()}));
}
