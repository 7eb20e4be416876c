// What a run writes, and that it can be had again.

#include <loru/cpu/rates.hpp>
#include <loru/io/csv.hpp>
#include <loru/io/safetensors.hpp>
#include <loru/lowrank/rates.hpp>
#include <loru/version.hpp>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

std::string hash(const fs::path& out) { return summary(out)["model_sha256"]; }

std::string eval_value(const std::string& text, const std::string& name) {
  for (const std::string& line : lines(text))
    if (line.starts_with(name + ' ')) return line.substr(name.size() + 1);
  return "";
}

}  // namespace

TEST_CASE("a run writes its five files, whole") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out");
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.empty());
  CHECK(names_in(scratch.path / "out") == std::vector<std::string>{"clients.csv", "config.toml",
                                                                   "model.safetensors", "rounds.csv",
                                                                   "summary.json"});
}

TEST_CASE("summary.json holds the fields of a run in their order") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out", {"--threads", "2"}).code == 0);
  const auto written = summary(scratch.path / "out");
  std::vector<std::string> names;
  for (const auto& [name, value] : written.items()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"algorithm",
                                          "dataset",
                                          "model",
                                          "rounds",
                                          "clients",
                                          "cohort",
                                          "seed",
                                          "device",
                                          "threads",
                                          "executor",
                                          "ranks",
                                          "turns_by_rank",
                                          "state_bytes",
                                          "dropped",
                                          "rejected",
                                          "final_test_accuracy",
                                          "best_test_accuracy",
                                          "final_test_loss",
                                          "merges",
                                          "update_rank",
                                          "uplink_bytes",
                                          "downlink_bytes",
                                          "uplink_bytes_per_client_round",
                                          "parameters_total",
                                          "parameters_trained",
                                          "wall_seconds",
                                          "train_seconds",
                                          "peak_rss_bytes",
                                          "model_sha256",
                                          "personal_accuracy",
                                          "merge_rounds",
                                          "machine",
                                          "loru_version"});
  CHECK(written["algorithm"] == "fedloru");
  CHECK(written["rounds"] == 5);
  CHECK(written["clients"] == 12);
  CHECK(written["cohort"] == 4);
  CHECK(written["seed"] == 7);
  CHECK(written["threads"] == 2);
  CHECK(written["executor"] == "threads");
  CHECK(written["ranks"] == 1);
  CHECK(written["turns_by_rank"] == std::vector<int>{4 * static_cast<int>(written["rounds"])});
  CHECK(written["state_bytes"] == 0);
  CHECK(written["merges"] == 2);
  CHECK(written["merge_rounds"] == std::vector<int>{2, 4});
  CHECK(written["machine"]["cores"] == std::thread::hardware_concurrency());
  CHECK(written["loru_version"] == loru::version);
  CHECK(written["update_rank"]["fc2"] == 12);  // two merges and what is not merged yet, of rank 4 each
  CHECK(written["parameters_total"] == 17 * 256 + 257 * 256 + 257 * 4 + 2 * 4 * 256);
  CHECK(written["parameters_trained"] == 17 * 256 + 256 + 257 * 4 + 2 * 4 * 256);
  CHECK(written["peak_rss_bytes"] > 1000000);
  CHECK(written["wall_seconds"] >= written["train_seconds"]);
  CHECK(written["model_sha256"].get<std::string>().size() == 64);
  const auto& personal = written["personal_accuracy"];
  CHECK(personal["mean"] == personal["global_mean"]);  // fedloru has one model for all
  CHECK(personal["worst_decile"] <= personal["mean"]);
  CHECK(personal["global_worst_decile"] == personal["worst_decile"]);
}

TEST_CASE(
    "pfedloru from its configuration: states on disk, personal accuracy, norms and angle of the updates") {
  const Scratch scratch;
  const Arguments options{"--set", "algorithm.name=pfedloru", "--set", "algorithm.personal_rank=2",
                          "--set", "partition.kind=shards",   "--set", "federation.client_state=disk",
                          "--set", "federation.rounds=2"};
  REQUIRE(run_tiny(scratch.path, "out", options).code == 0);
  const auto files = names_in(scratch.path / "out" / "clients");
  CHECK(files.size() >= 4);
  CHECK(files.size() <= 8);  // two cohorts of four
  const auto state = loru::io::load(scratch.path / "out" / "clients" / files.front());
  CHECK(state.names() == std::vector<std::string>{"fc2.personal_A.weight", "fc2.personal_B.weight"});
  const auto written = summary(scratch.path / "out");
  CHECK(written["personal_accuracy"]["mean"] > 0.0);
  CHECK(written["personal_updates"]["fc2"]["global_norm"] > 0.0);
  CHECK(written["personal_updates"]["fc2"]["personal_norm"] > 0.0);
  CHECK(std::abs(written["personal_updates"]["fc2"]["cosine"].get<double>()) <= 1.0);
  write(scratch.path / "out" / "clients" / "11.safetensors", "of an earlier run");
  REQUIRE(run_tiny(scratch.path, "out", options).code == 0);
  CHECK(names_in(scratch.path / "out" / "clients") ==
        files);  // a run does not begin with the last one's states
  REQUIRE(run_tiny(scratch.path, "plain", {"--set", "federation.personal_images=0"}).code == 0);
  CHECK(!summary(scratch.path / "plain").contains("personal_accuracy"));
}

TEST_CASE("rounds.csv has a line a round, empty where not evaluated, and its bytes add up") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  const auto table = loru::io::read_csv(scratch.path / "out" / "rounds.csv");
  CHECK(table.columns == std::vector<std::string>{"round", "cohort", "train_loss", "test_accuracy",
                                                  "test_loss", "uplink_bytes", "downlink_bytes", "seconds",
                                                  "dropped", "rejected"});
  REQUIRE(table.rows.size() == 5);
  std::uint64_t up = 0, down = 0;
  for (std::size_t row = 0; row < 5; ++row) {
    CHECK(table.number<int>(row, "round") == static_cast<int>(row) + 1);
    CHECK(table.number<int>(row, "cohort") == 4);
    CHECK(table.number(row, "train_loss").value() > 0.0);
    const bool evaluated = row == 1 || row == 3 || row == 4;  // every second and the last
    CHECK(table.number(row, "test_accuracy").has_value() == evaluated);
    CHECK(table.number(row, "test_loss").has_value() == evaluated);
    up += table.number<std::uint64_t>(row, "uplink_bytes").value();
    down += table.number<std::uint64_t>(row, "downlink_bytes").value();
  }
  const auto written = summary(scratch.path / "out");
  CHECK(written["uplink_bytes"] == up);
  CHECK(written["downlink_bytes"] == down);
  CHECK(written["uplink_bytes_per_client_round"] == up / 20);
  CHECK(written["final_test_accuracy"] == table.number(4, "test_accuracy").value());
  CHECK(up > 20 * 4 * written["parameters_trained"].get<std::uint64_t>());
  CHECK(up < 20 * 4 * written["parameters_trained"].get<std::uint64_t>() + 20 * 2000);
}

TEST_CASE("clients.csv has the samples, the accuracies and the labels of each client") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out",
                   {"--set", "algorithm.name=pfedloru", "--set", "partition.kind=shards", "--set",
                    "federation.rounds=2"})
              .code == 0);
  const auto clients = loru::io::read_csv(scratch.path / "out" / "clients.csv");
  CHECK(clients.columns == std::vector<std::string>{"client", "samples", "personal_accuracy",
                                                    "global_accuracy", "label_0", "label_1", "label_2",
                                                    "label_3"});
  REQUIRE(clients.rows.size() == 12);
  double samples = 0.0, own = 0.0, global = 0.0;
  for (std::size_t k = 0; k < 12; ++k) {
    CHECK(clients.number(k, "client") == static_cast<double>(k));
    double labels = 0.0, classes = 0.0;
    for (const char* label : {"label_0", "label_1", "label_2", "label_3"}) {
      labels += *clients.number(k, label);
      classes += *clients.number(k, label) > 0.0;
    }
    CHECK(labels == clients.number(k, "samples"));
    CHECK(classes <= 2.0);  // shards of two classes
    samples += labels;
    own += *clients.number(k, "personal_accuracy");
    global += *clients.number(k, "global_accuracy");
  }
  CHECK(samples == 240.0);
  const auto personal = summary(scratch.path / "out")["personal_accuracy"];
  CHECK(own / 12.0 == Approx(personal["mean"].get<double>()));
  CHECK(global / 12.0 == Approx(personal["global_mean"].get<double>()));

  REQUIRE(run_tiny(scratch.path, "none", {"--set", "federation.personal_images=0"}).code == 0);
  const auto plain = loru::io::read_csv(scratch.path / "none" / "clients.csv");
  CHECK(plain.text(0, "personal_accuracy").empty());
  CHECK(plain.text(0, "global_accuracy").empty());
}

TEST_CASE("Virtual clients: as many as wanted, of whom clients.csv has the first and the measured ones") {
  const Scratch scratch;
  const Arguments options{"--set", "partition.kind=virtual",   "--set", "partition.samples=5",
                          "--set", "federation.clients=30000", "--set", "federation.rounds=2"};
  REQUIRE(run_tiny(scratch.path, "out", options).code == 0);
  const auto clients = loru::io::read_csv(scratch.path / "out" / "clients.csv");
  REQUIRE(clients.rows.size() > 10'000);
  REQUIRE(clients.rows.size() < 10'200);
  double measured = 0.0, last = -1.0;
  for (std::size_t i = 0; i < clients.rows.size(); ++i) {
    const double client = *clients.number(i, "client");
    const bool own = !clients.text(i, "personal_accuracy").empty();
    if (i < 10'000 ? client != static_cast<double>(i) : !own || client <= last) FAIL("row " << i);
    if (*clients.number(i, "samples") != 5.0) FAIL("row " << i);
    measured += own;
    last = client;
  }
  CHECK(measured == 200.0);
  Arguments described = options;
  described.push_back("--describe");
  const Result result = run_tiny(scratch.path, "none", described);
  CHECK(result.code == 0);
  CHECK(result.out.find("partition virtual, 30000 clients, the first 10000 of them counted\n") !=
        std::string::npos);
  Arguments spectrum{"spectrum", (scratch.path / "tiny.toml").string(), "--clients", "2", "--quiet",
                     "--out",    (scratch.path / "spectrum").string()};
  spectrum.insert(spectrum.end(), options.begin(), options.end());
  CHECK(federate(scratch.path, spectrum).code == 0);
}

TEST_CASE("model.safetensors holds the weights and the factors not merged yet") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  const auto archive = loru::io::load(scratch.path / "out" / "model.safetensors");
  CHECK(archive.names() == std::vector<std::string>{"fc1.bias", "fc1.weight", "fc2.bias", "fc2.lora_A.weight",
                                                    "fc2.lora_B.weight", "fc2.weight", "fc3.bias",
                                                    "fc3.weight"});
  CHECK(archive.metadata().at("alpha") == "4");
}

TEST_CASE("the model depends on the seed and not on the threads") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "one", {"--threads", "1"}).code == 0);
  REQUIRE(run_tiny(scratch.path, "two", {"--threads", "2"}).code == 0);
  REQUIRE(run_tiny(scratch.path, "five", {"--threads", "5"}).code == 0);
  REQUIRE(run_tiny(scratch.path, "seed", {"--seed", "8"}).code == 0);
  CHECK(hash(scratch.path / "one") == hash(scratch.path / "two"));
  CHECK(hash(scratch.path / "one") == hash(scratch.path / "five"));
  CHECK(hash(scratch.path / "one") != hash(scratch.path / "seed"));
}

TEST_CASE("a run's config.toml gives the same model again") {
  const Scratch scratch;
  const Arguments more = GENERATE(
      Arguments{"--seed", "11", "--set", "optimizer.learning_rate=0.037"},
      Arguments{"--set", "partition.kind=dirichlet", "--set", "partition.alpha=0.1", "--set",
                "optimizer.name=adamw", "--set", "optimizer.learning_rate=1e-3", "--set",
                "schedule.kind=cosine"},
      Arguments{"--set", "algorithm.merge=keep", "--set", "lowrank.dropout=0.2", "--set",
                "data.augment=[\"crop\"]"},
      Arguments{"--set", "algorithm.name=fedavg", "--set", "client.batch=7", "--set", "schedule.per=step"});
  REQUIRE(run_tiny(scratch.path, "first", more).code == 0);
  const fs::path config = scratch.path / "first" / "config.toml";
  const Result again = federate(scratch.path, {config.string(), "--out", (scratch.path / "second").string()});
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(hash(scratch.path / "first") == hash(scratch.path / "second"));
  CHECK(read(config) == read(scratch.path / "second" / "config.toml"));
}

TEST_CASE("rates come from a file, choose the plan, and are written into config.toml") {
  const Scratch scratch;
  loru::lowrank::Rates rates = loru::device_rates(loru::Cpu{});
  for (std::size_t i = 0; i < rates.of.size(); ++i) rates.of[i] = 1e6;
  rates.of[loru::cost::kind::product + 1] = 1e-3;  // products of 16 rows: factored has the most of them
  rates.of[loru::cost::kind::memory] = 1.0 / 3.0;
  write(scratch.path / "r.toml", loru::lowrank::to_toml(rates));
  const std::string file = (scratch.path / "r.toml").string();
  REQUIRE(
      run_tiny(scratch.path, "out", {"--set", "lowrank.rates=" + file, "--set", "client.batch=16"}).code ==
      0);
  const std::string text = read(scratch.path / "out" / "config.toml");
  CAPTURE(text);
  CHECK(text.find("[lowrank.rates]\n") != std::string::npos);
  CHECK(text.find("memory = 0.3333333333333333\n") != std::string::npos);
  CHECK(text.find(file) == std::string::npos);
  CHECK(text.find("# plan fc2: composed\n") != std::string::npos);
  fs::remove(file);  // the run's own configuration is enough
  const Result again = federate(scratch.path, {(scratch.path / "out" / "config.toml").string(), "--out",
                                               (scratch.path / "again").string()});
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(read(scratch.path / "again" / "config.toml") == text);
  CHECK(hash(scratch.path / "again") == hash(scratch.path / "out"));
}

TEST_CASE("config.toml tells every key, the layers and their plans") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  const std::string text = read(scratch.path / "out" / "config.toml");
  CHECK(text.find("# plan fc2: ") != std::string::npos);
  CHECK(text.find("layers = [ 'fc2' ]") != std::string::npos);
  CHECK(text.find("learning_rate = 0.05\n") != std::string::npos);
  CHECK(text.find("momentum = 0.9\n") != std::string::npos);
  CHECK(text.find("tau = 2\n") != std::string::npos);
  CHECK(text.find("seed = 7\n") != std::string::npos);
}

TEST_CASE("eval of a run equals its summary") {
  const Scratch scratch;
  const std::string algorithm =
      GENERATE("fedloru", "fedlora", "fedavg", "fedprox", "ffa_lora", "rolora", "flora", "fedex_lora",
               "flexlora", "fedpara", "hetlora", "mfedloru", "fedhm", "fedsa_lora", "pfedloru", "scaffold",
               "local", "fedmomentum", "fedmud", "raflora", "fed_sb");
  REQUIRE(run_tiny(scratch.path, "out", {"--set", "algorithm.name=" + algorithm}).code == 0);
  const Result result = federate(scratch.path, {"eval", (scratch.path / "out").string()});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto written = summary(scratch.path / "out");
  CHECK(std::stod(eval_value(result.out, "accuracy")) == written["final_test_accuracy"].get<double>());
  CHECK(std::stod(eval_value(result.out, "loss")) == written["final_test_loss"].get<double>());
}

TEST_CASE(
    "clients of different ranks: the written configuration trains the same model, a wider client another") {
  const Scratch scratch;
  const std::string algorithm = GENERATE("flora", "flexlora", "hetlora", "mfedloru", "fedhm", "raflora");
  const auto set = [&](const std::string& values) {
    return Arguments{"--set", "algorithm.name=" + algorithm,
                     "--set", "ranks.rule=tiers",
                     "--set", "ranks.values=" + values,
                     "--set", "ranks.shares=[0.5, 0.5]",
                     "--set", "lowrank.ranks=[4]"};
  };
  REQUIRE(run_tiny(scratch.path, "out", set("[1, 2]")).code == 0);
  REQUIRE(run_tiny(scratch.path, "wider", set("[3, 4]")).code == 0);
  CHECK(hash(scratch.path / "out") != hash(scratch.path / "wider"));
  const Result again = federate(scratch.path, {(scratch.path / "out" / "config.toml").string(), "--out",
                                               (scratch.path / "again").string()});
  CAPTURE(again.err);
  REQUIRE(again.code == 0);
  CHECK(hash(scratch.path / "out") == hash(scratch.path / "again"));
}

TEST_CASE("a run that never evaluates still ends with an accuracy") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "often", {"--set", "federation.eval_every=1"}).code == 0);
  REQUIRE(run_tiny(scratch.path, "never", {"--set", "federation.eval_every=0"}).code == 0);
  CHECK(summary(scratch.path / "often")["final_test_accuracy"] ==
        summary(scratch.path / "never")["final_test_accuracy"]);
  CHECK(hash(scratch.path / "often") == hash(scratch.path / "never"));
}

TEST_CASE("what an earlier run left in the folder goes when a new one begins") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  REQUIRE(run_tiny(scratch.path, "out", {"--set", "federation.rounds=3"}).code == 0);
  CHECK(lines(read(scratch.path / "out" / "rounds.csv")).size() == 4);
  CHECK(summary(scratch.path / "out")["rounds"] == 3);
}

TEST_CASE("a fold that leaves the numbers' range is a failed run, whose files have the last good model") {
  const Scratch scratch;
  const std::string algorithm =
      GENERATE("fedhm", "flora", "flexlora", "fedex_lora", "fedpara", "fedmomentum", "fedmud");
  CAPTURE(algorithm);
  const Result result = run_tiny(
      scratch.path, "out", {"--set", "algorithm.name=" + algorithm, "--set", "optimizer.learning_rate=1000"});
  CHECK(result.code == 1);
  check_one_line(result);
  CHECK(names_in(scratch.path / "out") == std::vector<std::string>{"clients.csv", "config.toml",
                                                                   "model.safetensors", "rounds.csv",
                                                                   "summary.json"});
}

TEST_CASE("the default folder is runs/ and the configuration's name") {
  const Scratch scratch;
  write(scratch.path / "my.first.toml", tiny);
  const fs::path before = fs::current_path();
  fs::current_path(scratch.path);
  const Result result = federate(scratch.path, {"my.first.toml", "--quiet"});
  fs::current_path(before);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(fs::exists(scratch.path / "runs" / "my.first" / "summary.json"));
}

TEST_CASE("option --set takes TOML values, and what is none as a string") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out",
                   {"--set", "algorithm.name=\"fedavg\"", "--set", "federation.rounds=0x02", "--set",
                    "optimizer.name=adam", "--set", "optimizer.learning_rate=1e-3"})
              .code == 0);
  const auto written = summary(scratch.path / "out");
  CHECK(written["algorithm"] == "fedavg");
  CHECK(written["rounds"] == 2);
  CHECK(written["update_rank"].empty());
}

TEST_CASE("codecs shrink the messages, and a run over them can be had again") {
  const Scratch scratch;
  const auto bytes_of = [&](const std::string& out, const Arguments& more) {
    REQUIRE(run_tiny(scratch.path, out, more).code == 0);
    const auto written = summary(scratch.path / out);
    return std::pair{written["uplink_bytes"].get<double>(), written["downlink_bytes"].get<double>()};
  };
  const auto plain = bytes_of("plain", {});
  for (const std::string code : {"fp16", "bf16", "int8", "top_k"}) {
    CAPTURE(code);
    const Arguments more{"--set", "codec.uplink=" + code, "--set", "codec.downlink=" + code,
                         "--set", "codec.keep=0.05"};
    const auto coded = bytes_of(code, more);
    CHECK(coded.first < 0.65 * plain.first);  // headers stay
    CHECK(coded.second < 0.95 * plain.second);
    const std::string again = (scratch.path / "again").string();
    REQUIRE(federate(scratch.path,
                     {(scratch.path / code / "config.toml").string(), "--threads", "3", "--out", again})
                .code == 0);
    CHECK(hash(again) == hash(scratch.path / code));
    CHECK(hash(again) != hash(scratch.path / "plain"));
  }
  REQUIRE(run_tiny(scratch.path, "disk",
                   {"--set", "codec.uplink=top_k", "--set", "codec.downlink=top_k", "--set",
                    "codec.keep=0.05", "--set", "federation.client_state=disk"})
              .code == 0);
  CHECK(hash(scratch.path / "disk") == hash(scratch.path / "top_k"));
}

TEST_CASE("warm-up rounds are fedavg's, and the rounds after them the algorithm's") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "warm", {"--set", "federation.warmup_rounds=2"}).code == 0);
  REQUIRE(run_tiny(scratch.path, "dense", {"--set", "algorithm.name=fedavg"}).code == 0);
  const auto rounds = [&](const char* out) { return loru::io::read_csv(scratch.path / out / "rounds.csv"); };
  const auto warm = rounds("warm"), dense = rounds("dense");
  REQUIRE(warm.rows.size() == 5);
  for (std::size_t r = 0; r < 2; ++r)
    for (const char* column : {"round", "train_loss", "test_accuracy", "uplink_bytes", "downlink_bytes"})
      CHECK(warm.text(r, column) == dense.text(r, column));
  CHECK(warm.number(2, "uplink_bytes").value() < 0.8 * warm.number(1, "uplink_bytes").value());
  CHECK(warm.number(2, "downlink_bytes").value() >
        warm.number(1, "downlink_bytes").value());  // W and factors
  const auto written = summary(scratch.path / "warm");
  CHECK(written["merges"] == 1);  // after round 4
  CHECK(written["rounds"] == 5);
  REQUIRE(federate(scratch.path, {(scratch.path / "warm" / "config.toml").string(), "--threads", "2", "--out",
                                  (scratch.path / "again").string()})
              .code == 0);
  CHECK(hash(scratch.path / "again") == hash(scratch.path / "warm"));
  const Result looked = federate(scratch.path, {"eval", (scratch.path / "warm").string()});
  CHECK(std::stod(eval_value(looked.out, "accuracy")) == written["final_test_accuracy"].get<double>());
}
