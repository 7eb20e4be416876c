// Federations on texts, from the configuration to a run's files.

#include "federate/program.hpp"

using namespace loru_test;

namespace {

constexpr const char* configuration = R"(
seed = 3
[data]
name = "text"
train = "train"
test = "test.txt"
[text]
length = 8
target = "next"
[task]
kind = "next_token"
[partition]
kind = "natural"
[model]
name = "char_transformer"
layers = 1
width = 16
heads = 2
feed_forward = 32
[lowrank]
rank = 2
alpha = 2.0
layers = ["*.fc1"]
[algorithm]
name = "fedlora"
[federation]
cohort = 2
rounds = 2
[client]
epochs = 1
batch = 4
)";

/// Three clients that count in letters, each from another one, and a configuration for them.
Arguments counting(const Scratch& scratch) {
  for (int client = 0; client < 3; ++client) {
    std::string text;
    for (int i = 0; i < 120; ++i) text += static_cast<char>('a' + (i + client) % 10);
    write(scratch.path / "train" / (std::to_string(client) + ".txt"), text);
  }
  write(scratch.path / "test.txt", "abcdefghijabcdefghij");
  write(scratch.path / "run.toml", configuration);
  return {(scratch.path / "run.toml").string(), "--data-dir", scratch.path.string()};
}

Result with(const Scratch& scratch, Arguments more) {
  Arguments arguments = counting(scratch);
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

}  // namespace

TEST_CASE("federate: texts are described by clients, sequences and tokens") {
  const Scratch scratch;
  const Result result = with(scratch, {"--describe"});
  INFO(result.err);
  REQUIRE(result.code == 0);
  // 119 targets a client are 15 sequences of at most 8; the test text's 19 are three.
  CHECK_THAT(result.out,
             ContainsSubstring("data text: 45 samples to train on, 3 to test on, 357 and 19 tokens of 11 "
                               "in sequences of at most 8, 11 classes of tokens"));
  CHECK_THAT(result.out, ContainsSubstring("3 clients\nsamples a client    min 15  max 15"));
}

TEST_CASE("federate: a decoder learns from texts, with the same bits for any number of threads") {
  const Scratch scratch;
  const auto run = [&](const char* threads) {
    const fs::path out = scratch.path / (std::string("out") + threads);
    const Result result = with(scratch, {"--out", out.string(), "--threads", threads});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(read(out / "summary.json"));
  };
  const auto one = run("1"), three = run("3");
  CHECK(one["model_sha256"] == three["model_sha256"]);
  CHECK(one["final_test_perplexity"].get<double>() < 11.0);  // what guessing gives
}

TEST_CASE("federate: a decoder goes on with a text") {
  const Scratch scratch;
  const std::string out = (scratch.path / "out").string();
  REQUIRE(with(scratch, {"--set", "algorithm.name=fedavg", "--set", "federation.rounds=30", "--set",
                         "optimizer.learning_rate=0.2", "--out", out})
              .code == 0);
  const auto say = [&](Arguments more) {
    Arguments arguments{"generate", out, "--data-dir", scratch.path.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return federate(scratch.path, arguments);
  };
  // It counts on, up to the longest sequence of 8.
  const Result counted = say({"--prompt", "cde", "--temperature", "0"});
  INFO(counted.err);
  CHECK(counted.code == 0);
  CHECK(counted.out == "cdefghij\n");
  CHECK(say({"--prompt", "cde", "--temperature", "0", "--tokens", "2"}).out == "cdefg\n");
  const Result drawn = say({"--prompt", "c", "--temperature", "3", "--seed", "5"});
  CHECK(drawn.out == say({"--prompt", "c", "--temperature", "3", "--seed", "5"}).out);
  CHECK(drawn.out != say({"--prompt", "c", "--temperature", "3", "--seed", "6"}).out);
  const auto error = [&](Arguments more) {
    const Result result = say(more);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    CHECK(lines(result.err).size() == 1);
    return result.err;
  };
  CHECK_THAT(error({"--prompt", "abcdefgh"}),
             ContainsSubstring("generate: --prompt: expected fewer than 8 tokens, the longest text of the "
                               "model, got 8"));
  CHECK_THAT(error({"--prompt", ""}),
             ContainsSubstring("generate: expected a prompt of at least one token, got none"));
  CHECK_THAT(error({"--prompt", "a", "--tokens", "0"}),
             ContainsSubstring("generate: tokens: expected a whole number >= 1, got 0"));
}

TEST_CASE("federate: texts, models and tasks that do not go together") {
  const Scratch scratch;
  const auto error = [&](Arguments more) {
    more.push_back("--describe");
    const Result result = with(scratch, more);
    CHECK(result.code == 2);
    CHECK(lines(result.err).size() == 1);
    return result.err;
  };
  CHECK_THAT(error({"--set", "model.name=cnn"}),
             ContainsSubstring(
                 "model.name: expected bert, llama or char_transformer for the sequences of text, got cnn"));
  CHECK_THAT(error({"--set", "model.name=bert"}),
             ContainsSubstring("task.kind: expected another than \"next_token\" for the model bert"));
  CHECK_THAT(error({"--set", "task.kind=classification"}),
             ContainsSubstring("task.kind: expected \"next_token\" for the model char_transformer"));
  CHECK_THAT(error({"--set", "text.target=label"}), ContainsSubstring("train: expected a readable file"));
  CHECK_THAT(error({"--set", "text.template=none"}),
             ContainsSubstring("text.template: expected {text} once"));
  CHECK_THAT(error({"--set", "text.tokenizer=none.json"}), ContainsSubstring("none.json"));
  const std::string weights = LORU_SOURCE_DIR "/tests/golden/pretrained/tiny_llama.gguf";
  CHECK_THAT(error({"--set", "model.name=llama", "--set", "model.weights=" + weights, "--set",
                    "text.tokenizer=" LORU_SOURCE_DIR "/tests/golden/tokenizers/byte_pairs.json"}),
             ContainsSubstring("text.tokenizer: expected one of 20 tokens, as "));
  CHECK_THAT(error({"--set", "model.name=llama", "--set",
                    "model.weights=" LORU_SOURCE_DIR "/tests/golden/pretrained/tiny_llama.bin"}),
             ContainsSubstring("tiny_llama.bin has, got 11"));
  CHECK_THAT(error({"--set", "model.weights=" + weights, "--set",
                    "text.tokenizer=" LORU_SOURCE_DIR "/tests/golden/tokenizers/byte_pairs.json"}),
             ContainsSubstring("model.weights: expected none for char_transformer"));
  CHECK_THAT(
      error({"--set", "data.name=synthetic"}),
      ContainsSubstring("model.name: char_transformer takes sequences of tokens, got samples of shape"));
  write(scratch.path / "train" / "3.txt", "");
  CHECK_THAT(federate(scratch.path, {(scratch.path / "run.toml").string(), "--data-dir",
                                     scratch.path.string(), "--describe"})
                 .err,
             ContainsSubstring("3.txt: expected a text, got an empty file"));
}
