// What the program says, and how it exits, when it is told something wrong.

#include "federate/program.hpp"
#include "support/skip.hpp"

using namespace loru_test;

namespace {

/// Runs the tiny federation with a wrong setting: exit 2, one line that holds `expected`, and no file left
/// behind.
void check_refused(const Arguments& more, const std::string& expected) {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out", more);
  CAPTURE(more, result.err);
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.find(expected) != std::string::npos);
  CHECK(names_in(scratch.path / "out").empty());
}

void check_set(const std::string& assignment, const std::string& expected) {
  check_refused({"--set", assignment}, expected);
}

/// Runs a configuration file as it is.
Result run_text(const Scratch& scratch, const std::string& text) {
  write(scratch.path / "c.toml", text);
  return federate(scratch.path,
                  {(scratch.path / "c.toml").string(), "--out", (scratch.path / "out").string()});
}

void check_text(const std::string& text, const std::string& expected) {
  const Scratch scratch;
  const Result result = run_text(scratch, text);
  CAPTURE(text, result.err);
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.find(expected) != std::string::npos);
  CHECK(names_in(scratch.path / "out").empty());
}

}  // namespace

TEST_CASE("an unknown key names the nearest known one and its line") {
  check_text("[data]\nname = \"digits\"\n[lowrank]\nrnk = 3\n",
             "c.toml:4: unknown key 'lowrank.rnk', nearest is 'lowrank.rank'");
  check_text("[data]\nname = \"digits\"\n[algorithm]\ntua = 3\n",
             "unknown key 'algorithm.tua', nearest is 'algorithm.tau'");
  check_text("[data]\nname = \"digits\"\n[optimiser]\nmomentum = 0.5\n", "nearest is 'optimizer.momentum'");
  check_text("sed = 1\n", "unknown key 'sed', nearest is 'seed'");
  check_set("federation.round=3", "unknown key 'federation.round', nearest is 'federation.rounds'");
}

TEST_CASE("broken TOML names file, line and column") {
  check_text("[data]\nname = \"digits\n", "c.toml:2:");
  check_text("[data\n", "broken TOML");
  check_text("seed = 1\nseed = 2\n", "c.toml:2:");
}

TEST_CASE("a value of a wrong type says what was expected and what came") {
  check_text("[data]\nname = \"digits\"\n[lowrank]\nrank = \"a\"\n",
             "c.toml:4: lowrank.rank: expected a whole number >= 1, got string 'a'");
  check_set("client.epochs=2.5",
            "client.epochs: expected a whole number in 1 .. 2147483648, got floating-point 2.5");
  check_set("optimizer.learning_rate=fast",
            "optimizer.learning_rate: expected a number > 0, got string 'fast'");
  check_set("optimizer.nesterov=1", "optimizer.nesterov: expected true or false, got integer 1");
  check_set("lowrank.layers=\"fc1\"", "lowrank.layers: expected a list of strings, got string 'fc1'");
  check_set("data.shape=[1, 2]", "data.shape: expected a list of 3 whole numbers");
  check_set("data.classes=4611686018427387904",
            "data.classes: expected a whole number in 1 .. 10000000, got integer 4611686018427387904");
  check_set("data.train_samples=4611686018427387904",
            "data.train_samples: expected a whole number in 1 .. 10000000");
  check_set("data.dir=\"a\\u0000b\"", "data.dir: expected a string without NUL, got string \"a\\u0000b\"");
  check_set("lowrank.layers=[\"fc1\", \"\\u0000\"]", "lowrank.layers: expected a string without NUL");
  check_set("lowrank.start=\"peft:\\u0000\"", "lowrank.start: expected a string without NUL");
  // One line, whatever came.
  check_set("model.name=[[1, 2], [3, 4]]", "got array [ [ 1, 2 ], [ 3, 4 ] ]");
  check_set("model.name=\"a\\nb\"", "got string 'a b', nearest is");
  check_set("lowrank=3", "lowrank: expected a table, got integer");
  check_set("seed={a = 1}", "seed: expected a whole number >= 0, got table");
}

TEST_CASE("ranks that fit neither layers nor algorithm are refused") {
  check_set("lowrank.ranks=[2, 3]", "factorize: ranks: expected 1 rank, one for each of fc2; got 2");
  check_set("lowrank.ranks=[0]", "lowrank.ranks: expected a whole number >= 1, got integer 0");
  check_set("lowrank.ranks=3", "lowrank.ranks: expected a list of whole numbers, got integer 3");
  check_set("ranks.rule=fixd", "expected \"same\", \"fixed\", \"tiers\" or \"data\"");
  check_set("ranks.rule=tiers", "ranks: values: expected at least one rank");
  check_set("ranks.shares=[-0.5]", "ranks.shares: expected a number >= 0, got floating-point -0.5");
  check_refused({"--set", "ranks.rule=fixed", "--set", "ranks.values=[1]", "--set", "algorithm.name=fedpara"},
                "fedpara: expected the same ranks for all clients: its weights have no leading directions");
}

TEST_CASE("a list of rounds is in increasing order") {
  check_set("algorithm.merge_rounds=[10, 5]",
            "algorithm.merge_rounds: expected rounds in increasing order, got 10 before 5");
  check_set("algorithm.merge_rounds=[0]",
            "algorithm.merge_rounds: expected a whole number >= 1, got integer 0");
  check_set("federation.keep_rounds=[1, 3, 3]",
            "federation.keep_rounds: expected rounds in increasing order, got 3 before 3");
  check_set("federation.keep_rounds=[-1]",
            "federation.keep_rounds: expected a whole number >= 0, got integer -1");
  check_set("federation.keep_rounds=[0, 6]", "federation.keep_rounds: expected at most 5, the rounds, got 6");
}

TEST_CASE("a value out of range says what range was expected") {
  check_set("client.epochs=9223372036854775807",
            "client.epochs: expected a whole number in 1 .. 2147483648, got integer 9223372036854775807");
  check_set("client.steps=2147483649",
            "client.steps: expected a whole number in 0 .. 2147483648, got integer 2147483649");
  check_set("federation.rounds=4294967295",
            "federation.rounds: expected a whole number in 1 .. 4294967294, got integer 4294967295");
  check_set("partition.samples=1099511627776",
            "partition.samples: expected a whole number in 1 .. 536870911, got integer 1099511627776");
  check_set("lowrank.rank=0", "lowrank.rank: expected a whole number >= 1, got integer 0");
  check_set("federation.clients=0", "federation.clients: expected a whole number >= 1, got integer 0");
  check_set("federation.rounds=0",
            "federation.rounds: expected a whole number in 1 .. 4294967294, got integer 0");
  check_set("federation.fraction=1.5",
            "federation.fraction: expected a number in (0, 1], got floating-point 1.5");
  check_set("optimizer.learning_rate=inf", "expected a number > 0, got floating-point inf");
  check_set("optimizer.learning_rate=-1", "expected a number > 0, got integer -1");
  check_set("optimizer.momentum=1", "optimizer.momentum: expected a number in [0, 1), got integer 1");
  check_set("algorithm.tau=0", "algorithm.tau: expected a whole number >= 1, got integer 0");
  const auto personal_rank = [](const std::string& rank) {
    return Arguments{"--set", "algorithm.name=pfedloru", "--set", "algorithm.personal_rank=" + rank};
  };
  check_refused(personal_rank("0"), "algorithm.personal_rank: expected a whole number >= 1, got integer 0");
  check_refused(personal_rank("300"),
                "pfedloru: layer fc2: personal_rank 300 exceeds min(in=256, out=256) = 256");
  check_set("federation.client_state=tape", "federation.client_state: expected \"memory\" or \"disk\"");
  check_set("seed=-1", "seed: expected a whole number >= 0");
}

TEST_CASE("a word that is none of the known ones names them and the nearest") {
  check_set("algorithm.name=fedlru",
            "algorithm.name: expected \"fedavg\", \"fedprox\", \"fedlora\", \"fedloru\"");
  for (const auto& [wrong, right] :
       {std::pair{"fedlru", "fedloru"}, {"pfedlru", "pfedloru"}, {"scafold", "scaffold"}})
    check_set(std::string("algorithm.name=") + wrong,
              std::string("got string '") + wrong + "', nearest is \"" + right + '"');
  check_set("model.name=resnet11", "nearest is \"resnet10\"");
  check_set("data.name=fashion_mnist", "nearest is \"fashion-mnist\"");
  check_set("partition.kind=dirichlets", "nearest is \"dirichlet\"");
  check_set("algorithm.merge=keeps", "algorithm.merge: expected \"reinit\" or \"keep\"");
  check_set("data.augment=[\"crop\", \"flp\"]", "got string 'flp', nearest is \"flip\"");
  check_set("schedule.per=epoch", "schedule.per: expected \"round\" or \"step\"");
}

TEST_CASE("rates that make no sense are refused") {
  const Scratch scratch;
  const auto file = [&](const std::string& content) {
    write(scratch.path / "r.toml", content);
    return "lowrank.rates=" + (scratch.path / "r.toml").string();
  };
  check_set("lowrank.rates=/nowhere/r.toml", "/nowhere/r.toml: cannot open for reading");
  check_set(file("memry = 3\n"), "r.toml:1: unknown rate 'memry', nearest is 'memory'");
  check_set(file("# none\nmemory = 0\n"),
            "lowrank.rates: " + (scratch.path / "r.toml").string() + ":2: memory: expected rates > 0, got 0");
  check_set("lowrank.rates.memory=-1", "lowrank.rates: memory: expected rates > 0, got -1");
  check_set("lowrank.rates.memory=fast", "lowrank.rates: expected a number, got string 'fast'");
  check_set("lowrank.rates.prodct=[1.0]", "lowrank.rates: unknown rate 'prodct', nearest is 'product'");
  check_set("lowrank.rates.product=[1, 2]", "lowrank.rates: product: expected 5 numbers, got 2");
  check_set("lowrank.rates=3", "lowrank.rates: expected a table of rates or a file's name, got integer 3");
}

TEST_CASE("settings that do not fit together are refused") {
  check_set("lowrank.rank=300", "rank 300 exceeds min(in=256, out=256) = 256");
  check_set("lowrank.layers=[\"fc9\"]", "no layer matches 'fc9'");
  check_set("federation.cohort=13", "federation.cohort: expected at most 12, the clients, got 13");
  check_set("federation.fraction=0.5", "expected cohort or fraction, got both");
  check_refused(
      {"--set", "federation.clients=241"},
      "partition: iid: expected at most 240 clients, one for each sample, got 241 (kind \"virtual\"");
  check_set("partition.alpha=-1", "partition.alpha: expected a number >= 0, got integer -1");
  check_refused({"--set", "partition.kind=dirichlet", "--set", "partition.alpha=0"},
                "dirichlet: alpha: expected a positive number, got 0");
  check_refused({"--set", "partition.kind=virtual", "--set", "federation.clients=4294967296"},
                "virtual: clients: expected at most 4294967295, got 4294967296");
  check_set("partition.kind=natural", "names no natural clients");
  check_set("data.validation=1", "data.validation: expected a number in [0, 1), got integer 1");
  check_set("data.validation=0.001", "data.validation: expected a share that leaves samples to train on");
  check_set("data.validation=0.999", "which is 240 of 240");
  check_set("data.validation=0.96", "expected at most 10 clients, one for each sample, got 12");
  check_set("model.init=zero", "model.init: expected \"kaiming\" or \"xavier\" for the model mlp");
  check_set("model.name=lenet", "lenet: expected images of at least 12 x 12, got 4 x 4");
  check_text("seed = 1\n", "data.name: expected one of ");
}

TEST_CASE("mistakes on the command line exit 2, asking for help 0") {
  const Scratch scratch;
  const auto refused = [&](const Arguments& arguments, const std::string& expected) {
    const Result result = federate(scratch.path, arguments);
    CAPTURE(arguments, result.err);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(result.err.find(expected) != std::string::npos);
  };
  refused({}, "CONFIG is required");
  refused({"eval"}, "OUT is required");
  refused({"c.toml", "--frobnicate"}, "--frobnicate");
  refused({"c.toml", "--threads", "0"}, "--threads");
  refused({"c.toml", "--threads", "many"}, "--threads");
  refused({"c.toml", "--seed", "-1"}, "--seed");
  refused({"/nowhere/c.toml"}, "/nowhere/c.toml: cannot open for reading: No such file or directory");
  refused({"eval", "/nowhere"}, "/nowhere/config.toml: cannot open");
  check_refused({"--set", "seed"}, "--set: expected key.path=value, got 'seed'");
  check_refused({"--set", "=3"}, "--set: expected key.path=value, got '=3'");
  check_refused({"--set", "seed.x=3"}, "--set: seed.x: seed is a value, not a table");
  const Result help = federate(scratch.path, {"--help"});
  CHECK(help.code == 0);
  CHECK(help.out.find("--set") != std::string::npos);
  CHECK(federate(scratch.path, {"--version"}).code == 0);
}

TEST_CASE("an output folder that cannot be written is refused before training") {
  const Scratch scratch;
  write(scratch.path / "file", "");
  const Result below_file = run_tiny(scratch.path, "file/out");
  CHECK(below_file.code == 2);
  check_one_line(below_file);
  CHECK(below_file.out.empty());
  for (const char* name : {"config.toml", "rounds.csv", "summary.json", "model.safetensors"}) {
    const std::string out = std::string("out-") + name;
    fs::create_directories(scratch.path / out / name);
    const Result result = run_tiny(scratch.path, out);
    CAPTURE(result.err);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(result.err.find(name) != std::string::npos);
    CHECK(result.out.empty());
    CHECK(names_in(scratch.path / out) == std::vector<std::string>{name});
  }
}

TEST_CASE("a key of another algorithm is accepted and ignored") {
  const Scratch scratch;
  for (const char* algorithm : {"fedavg", "fedlora"}) {
    const Result result = run_tiny(scratch.path, "out",
                                   {"--set", std::string("algorithm.name=") + algorithm, "--set",
                                    "algorithm.tau=3", "--set", "algorithm.merge=keep"});
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(summary(scratch.path / "out")["merges"] == 0);
  }
}

TEST_CASE("warm-ups and codecs that make no sense are refused") {
  check_set("federation.warmup_rounds=6", "federation.warmup_rounds: expected at most 5, the rounds, got 6");
  check_set("federation.warmup_rounds=-1", "federation.warmup_rounds: expected a whole number");
  for (const std::string name : {"fedpara", "local"})
    check_refused({"--set", "federation.warmup_rounds=1", "--set", "algorithm.name=" + name},
                  "federation.warmup_rounds: expected 0 for " + name);
  check_refused({"--set", "lowrank.rank=300", "--set", "algorithm.name=fedpara"},
                "rank 300 exceeds min(in=256, out=256) = 256");
  check_set("codec.keep=0", "codec.keep: expected a number");
  check_set("codec.uplink=int4",
            R"(codec.uplink: expected "none", "fp16", "bf16", "int8" or "top_k", got string 'int4', )"
            R"(nearest is "int8")");
  for (const char* rounds : {"0", "1"})
    check_refused({"--set", "codec.downlink=top_k", "--set", "algorithm.name=hetlora", "--set",
                   std::string("federation.warmup_rounds=") + rounds},
                  "codec: downlink: top_k: expected clients that are sent the same");
}

TEST_CASE("a device and a precision that are not there are refused by name") {
  check_text("device = \"tpu\"\n[data]\nname = \"digits\"\n",
             R"(c.toml:1: device.name: expected "cpu" or "cuda", got string 'tpu')");
  check_set("device.index=-1", "device.index: expected a whole number >= 0, got");
  check_set("device.precision=fp16",
            R"(device.precision: expected "float", "tf32" or "bf16", got string 'fp16')");
  for (const std::string precision : {"tf32", "bf16"})
    check_set("device.precision=" + precision,
              "device.precision: expected \"float\" on the device cpu, got \"" + precision + '"');
  check_refused(
      {"--device", "cuda", "--set", "device.precision=bf16"},
      R"(device.precision: expected "float" or "tf32", got "bf16": there are no activations in bf16 yet)");
}

TEST_CASE("a device that is not there is named in one line") {
  const Scratch scratch;
  for (const Arguments& more : {Arguments{"--device", "cuda"}, Arguments{"--set", "device=cuda"},
                                Arguments{"--set", "device.name=cuda", "--set", "device.precision=tf32"}}) {
    const Result result = run_tiny(scratch.path, "out", more);
    if (result.code == 0) LORU_SKIP("a CUDA device is there");
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    check_one_line(result);
    CHECK(result.err.find("CUDA") != std::string::npos);
    CHECK(!fs::exists(scratch.path / "out"));
  }
  const Result unknown = run_tiny(scratch.path, "out", {"--device", "tpu"});
  CHECK(unknown.code == 2);
  check_one_line(unknown);
}
