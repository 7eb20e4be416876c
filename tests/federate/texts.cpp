// Federations on texts, from the configuration to a run's files.

#include <algorithm>

#include <loru/data/tokenizers/detail/utf8.hpp>
#include <loru/io/safetensors.hpp>

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
  const std::string algorithm = GENERATE("fedlora", "fedloru");
  const auto run = [&](const char* threads) {
    const fs::path out = scratch.path / (std::string("out") + threads);
    const Result result =
        with(scratch, {"--out", out.string(), "--threads", threads, "--set", "federation.cohort=3", "--set",
                       "algorithm.name=" + algorithm, "--set", "algorithm.tau=1"});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return nlohmann::json::parse(read(out / "summary.json"));
  };
  const auto one = run("1");
  for (const char* threads : {"2", "4"}) CHECK(run(threads)["model_sha256"] == one["model_sha256"]);
  CHECK(one["final_test_perplexity"].get<double>() < 11.0);  // what guessing gives
  CHECK(one["merges"] == (algorithm == "fedloru" ? 2 : 0));
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

TEST_CASE("federate: the characters of a run are those of its training texts, whatever these become") {
  const Scratch scratch;
  const std::string out = (scratch.path / "out").string();
  REQUIRE(with(scratch, {"--set", "algorithm.name=fedavg", "--set", "federation.rounds=30", "--set",
                         "optimizer.learning_rate=0.2", "--out", out})
              .code == 0);
  CHECK(read(fs::path(out) / "characters.txt") == "abcdefghij");
  const Arguments asked{"generate", out,   "--data-dir",    scratch.path.string(),
                        "--prompt", "cde", "--temperature", "0"};
  const Arguments tested{"eval", out, "--data-dir", scratch.path.string()};
  const std::string said = federate(scratch.path, asked).out, metrics = federate(scratch.path, tested).out;
  CHECK(said == "cdefghij\n");
  for (int client = 0; client < 3; ++client)  // as many characters, others
    write(scratch.path / "train" / (std::to_string(client) + ".txt"), std::string(60, 'a') + "klmnopqrs");
  CHECK(federate(scratch.path, asked).out == said);
  CHECK(federate(scratch.path, tested).out == metrics);
  // A run over the folder whose tokens are no characters leaves none.
  REQUIRE(
      with(scratch, {"--set", "text.tokenizer=" LORU_SOURCE_DIR "/tests/golden/tokenizers/byte_pairs.json",
                     "--out", out})
          .code == 0);
  CHECK_FALSE(fs::exists(fs::path(out) / "characters.txt"));
}

TEST_CASE("federate: a decoder of bytes prints characters") {
  const Scratch scratch;
  const std::string out = (scratch.path / "out").string();
  REQUIRE(
      with(scratch, {"--set", "text.tokenizer=" LORU_SOURCE_DIR "/tests/golden/tokenizers/sentence_piece.bin",
                     "--set", "text.length=64", "--set", "federation.rounds=1", "--out", out})
          .code == 0);
  const std::string prompt = "\xe6\x97\xa5\xf0\x9f\x98\x80";
  const Result result = federate(scratch.path, {"generate", out, "--data-dir", scratch.path.string(),
                                                "--prompt", prompt, "--temperature", "5", "--tokens", "40"});
  INFO(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.starts_with(prompt));
  CHECK_THAT(result.out, ContainsSubstring("\xef\xbf\xbd"));  // of a model that has learned nothing
  CHECK(loru::data::detail::valid_utf8(result.out) == result.out);
}

namespace {

/// A published LLaMA of 20 tokens, for texts of 19 characters.
Arguments published_llama(const Scratch& scratch) {
  std::string text;
  for (int i = 0; i < 190; ++i) text += static_cast<char>('a' + i * 7 % 19);
  for (int client = 0; client < 3; ++client)
    write(scratch.path / "train" / (std::to_string(client) + ".txt"), text);
  write(scratch.path / "test.txt", text);
  write(scratch.path / "run.toml", configuration);
  Arguments arguments{(scratch.path / "run.toml").string(), "--data-dir", scratch.path.string()};
  for (const char* set :
       {"model.name=llama", "model.weights=" LORU_SOURCE_DIR "/tests/golden/pretrained/tiny_llama.bin",
        "lowrank.layers=[\"*.q_proj\", \"*.v_proj\"]"})
    arguments.insert(arguments.end(), {"--set", set});
  return arguments;
}

Result llama(const Scratch& scratch, Arguments more) {
  Arguments arguments = published_llama(scratch);
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

}  // namespace

TEST_CASE("federate: what a published LLaMA cannot do") {
  const Scratch scratch;
  const auto error = [&](Arguments set) {
    Arguments arguments{"--describe"};
    for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
    const Result result = llama(scratch, arguments);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK(llama(scratch, {"--describe"}).code == 0);
  CHECK_THAT(
      error({"federation.warmup_rounds=1"}),
      ContainsSubstring("federation.warmup_rounds: expected 0 where model.train names nothing to train "
                        "before there are factors, got 1"));
  CHECK_THAT(error({"model.dropout=0.1"}),
             ContainsSubstring("model.dropout: expected 0 for llama, which has none, got 0.1"));
  CHECK_THAT(
      error({"model.keep_quantised=true", "algorithm.name=fedavg"}),
      ContainsSubstring("model.keep_quantised: expected false under fedavg, which trains all weights"));
  CHECK_THAT(error({"model.weights=nope"}), ContainsSubstring("model.weights: expected X.gguf"));
}

TEST_CASE("federate export: the table of a tied head has no adapter") {
  const Scratch scratch;
  const fs::path out = scratch.path / "out", adapter = scratch.path / "adapter",
                 merged = scratch.path / "merged.safetensors";
  const Result run =
      with(scratch, {"--out", out.string(), "--set", "federation.rounds=1", "--set", "model.name=llama",
                     "--set", "model.groups=2", "--set", "lowrank.layers=[\"*.q_proj\"]"});
  INFO(run.err);
  REQUIRE(run.code == 0);
  const auto exported = [&](Arguments more) {
    Arguments arguments{"export", out.string(), "--data-dir", scratch.path.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return federate(scratch.path, arguments);
  };
  const Result refused = exported({"--peft", adapter.string(), "--merged", merged.string()});
  CHECK(refused.code == 2);
  check_one_line(refused);
  CHECK_THAT(refused.err, ContainsSubstring("export: --peft: expected model.embed_tokens.weight as it was "
                                            "published, since the head is tied to it, got it trained"));
  CHECK_FALSE(fs::exists(adapter));
  CHECK(fs::exists(merged));  // what can be written is
}

TEST_CASE("federate: a BERT that was merged goes on with its classifier") {
  const Scratch scratch;
  write(scratch.path / "texts", "1 ba\n0 ab\n1 ba ba\n0 ab ab\n1 ba\n0 ab\n");
  const Arguments bert{
      "--data-dir", scratch.path.string(),
      "--set",      "model.name=bert",
      "--set",      "text.target=label",
      "--set",      "task.kind=classification",
      "--set",      "data.train=texts",
      "--set",      "data.test=texts",
      "--set",      "partition.kind=iid",
      "--set",      "federation.clients=2",
      "--set",      "federation.rounds=1",
      "--set",      "lowrank.layers=[\"*.self.query\"]",
      "--set",      "text.tokenizer=" LORU_SOURCE_DIR "/tests/golden/tokenizers/word_piece.json"};
  write(scratch.path / "run.toml", configuration);
  const auto run = [&](const std::string& out, Arguments more) {
    Arguments arguments{(scratch.path / "run.toml").string(), "--out", (scratch.path / out).string()};
    arguments.insert(arguments.end(), bert.begin(), bert.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    return federate(scratch.path, arguments);
  };
  const Result first = run("first", {});
  INFO(first.err);
  REQUIRE(first.code == 0);
  const fs::path folder = scratch.path / "bert";
  fs::create_directories(folder);
  REQUIRE(federate(scratch.path, {"export", (scratch.path / "first").string(), "--data-dir",
                                  scratch.path.string(), "--merged", (folder / "model.safetensors").string()})
              .code == 0);
  const loru::io::Archive merged = loru::io::load(folder / "model.safetensors");
  const auto vocabulary = merged.raw("bert.embeddings.word_embeddings.weight").shape[0];
  write(
      folder / "config.json",
      loru::concat(R"({"model_type": "bert", "hidden_act": "gelu", "num_hidden_layers": 1, "hidden_size": 16,
                         "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 8,
                         "type_vocab_size": 2, "vocab_size": )",
                   vocabulary, "}"));
  const Result second = run("second", {"--set", "model.weights=" + folder.string(), "--set",
                                       "federation.keep_rounds=[0]", "--set", "seed=9"});
  INFO(second.err);
  REQUIRE(second.code == 0);
  const loru::io::Archive began = loru::io::load(scratch.path / "second" / "rounds" / "0.safetensors");
  for (const char* name : {"classifier.weight", "classifier.bias", "bert.pooler.dense.weight"})
    CHECK(std::ranges::equal(began.raw(name).bytes, merged.raw(name).bytes));
  write(scratch.path / "texts", "1 ba\n0 ab\n2 ba ba\n0 ab ab\n1 ba\n0 ab\n");
  const Result other = run("third", {"--set", "model.weights=" + folder.string()});
  CHECK(other.code == 2);
  check_one_line(other);
  CHECK_THAT(other.err, ContainsSubstring("tensor classifier.weight: expected shape (3, 16) for the classes "
                                          "of the data, got (2, 16)"));
}

TEST_CASE("federate: a story teller goes on with one's own text") {
  const Scratch scratch;
  std::string text;
  for (int i = 0; i < 60; ++i) text += "Once upon a time there was a little cat who liked to sleep.\n";
  write(scratch.path / "cat.txt", text);
  const auto told = [&](Arguments more) {
    Arguments arguments{(bundled / "stories260k.toml").string(),
                        "--set",
                        "data.train=" + (scratch.path / "cat.txt").string(),
                        "--set",
                        "federation.rounds=2",
                        "--set",
                        "text.length=32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return federate(scratch.path, arguments);
  };
  if (told({"--describe"}).err.find("stories260k: data set not found") != std::string::npos)
    LORU_SKIP("stories260k is not on this machine");
  const auto run = [&](const std::string& threads) {
    const Result result = told({"--threads", threads, "--out", (scratch.path / threads).string()});
    INFO(result.err);
    REQUIRE(result.code == 0);
    return summary(scratch.path / threads);
  };
  const auto one = run("1"), four = run("4");
  CHECK(one["model_sha256"] == four["model_sha256"]);
  const auto rows = lines(read(scratch.path / "1" / "rounds.csv"));
  REQUIRE(rows.size() == 3);
  const auto loss = [&](std::size_t round) {
    return std::stod(rows[round].substr(rows[round].find(',', 2) + 1));
  };
  CHECK(loss(2) < 0.8 * loss(1));
  const Result said = federate(scratch.path, {"generate", (scratch.path / "1").string(), "--prompt",
                                              "Once upon a", "--temperature", "0", "--tokens", "12"});
  INFO(said.err);
  CHECK(said.code == 0);
  CHECK(said.out.starts_with("Once upon a time"));
}

TEST_CASE("federate: sizes of a model that are none are refused by their keys") {
  const Scratch scratch;
  const auto error = [&](Arguments set) {
    Arguments arguments{"--describe"};
    for (const std::string& one : set) arguments.insert(arguments.end(), {"--set", one});
    const Result result = with(scratch, arguments);
    INFO(set[0]);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  for (const char* key : {"text.length", "model.width", "model.heads", "model.groups", "model.feed_forward"})
    for (const char* value :
         {"9223372036854775807", "4611686018427387904", "2305843009213693952", "16777217"})
      CHECK_THAT(error({std::string(key) + '=' + value}),
                 ContainsSubstring(std::string(key) +
                                   ": expected a whole number in 1 .. 16777216, got integer " + value));
  CHECK_THAT(error({"model.layers=10000000"}),
             ContainsSubstring("model.layers: expected a whole number in 1 .. 10000, got integer 10000000"));
  CHECK_THAT(error({"model.heads=3"}),
             ContainsSubstring("model.heads: expected a divisor of model.width = 16, got 3"));
  CHECK_THAT(error({"model.name=llama", "model.heads=4", "model.groups=3"}),
             ContainsSubstring("model.groups: expected a divisor of model.heads = 4, got 3"));
  CHECK_THAT(error({"model.name=llama", "model.heads=16", "model.groups=16"}),
             ContainsSubstring("model.heads: expected an even number of values each, got 1"));
  CHECK_THAT(error({"model.width=16777216"}),
             ContainsSubstring("model: expected at most 1e+10 parameters, got about "));
}

TEST_CASE("federate: what a setup needs does not grow with client.batch") {
  const Scratch scratch;
  const Result result = with(scratch, {"--set", "client.batch=1000000000000", "--describe"});
  INFO(result.err);
  CHECK(result.code == 0);
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
  const Result spectrum =
      federate(scratch.path, {"spectrum", (scratch.path / "run.toml").string(), "--data-dir",
                              scratch.path.string(), "--out", (scratch.path / "spectrum").string()});
  CHECK(spectrum.code == 2);
  check_one_line(spectrum);
  CHECK_THAT(spectrum.err,
             ContainsSubstring("spectrum: model.name: expected one of logistic, mlp, cnn, lenet, "
                               "resnet10, resnet18, got char_transformer"));
  const Result escaped = federate(scratch.path, {"\x1b[31m\xc2\x9b"
                                                 "no\nfile.toml"});
  CHECK(escaped.code == 2);
  check_one_line(escaped);
  CHECK_THAT(escaped.err, ContainsSubstring("federate: \\x1b[31m\\xc2\\x9bno file.toml: cannot open"));
  write(scratch.path / "train" / "3.txt", "");
  CHECK_THAT(federate(scratch.path, {(scratch.path / "run.toml").string(), "--data-dir",
                                     scratch.path.string(), "--describe"})
                 .err,
             ContainsSubstring("3.txt: expected a text, got an empty file"));
}
