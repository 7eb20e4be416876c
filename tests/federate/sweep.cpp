// federate --sweep: one federation with all combinations of some keys' values.

#include <cmath>

#include <loru/io/csv.hpp>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

/// Logistic regression on the digits, well under a second a run.
const char* const small = R"(
seed = 3
[data]
name = "digits"
validation = 0.2
[model]
name = "logistic"
[algorithm]
name = "fedavg"
[federation]
clients = 8
cohort = 4
rounds = 2
personal_images = 0
[client]
epochs = 1
)";

Arguments sweep_of(const Scratch& scratch, const Arguments& more) {
  write(scratch.path / "small.toml", small);
  Arguments arguments{(scratch.path / "small.toml").string(), "--out", (scratch.path / "out").string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Result sweep(const Scratch& scratch, const Arguments& more, int code = 0) {
  const Result result = federate(scratch.path, sweep_of(scratch, more));
  CAPTURE(result.err, result.out);
  REQUIRE(result.code == code);
  return result;
}

const Arguments two_rates{"--sweep", "optimizer.learning_rate=0.0001,0.05"};

Arguments with(Arguments first, const Arguments& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

double accuracy(const fs::path& run, const char* set) {
  return summary(run)[std::string("final_") + set + "_accuracy"];
}

}  // namespace

TEST_CASE("sweep: every point with every seed, in one table") {
  const Scratch scratch;
  const Result result = sweep(scratch, with(two_rates, {"--sweep", "client.batch=16,64", "--seeds", "1,2"}));
  const fs::path out = scratch.path / "out";
  CHECK(names_in(out) == std::vector<std::string>{"optimizer.learning_rate=0.0001,client.batch=16",
                                                  "optimizer.learning_rate=0.0001,client.batch=64",
                                                  "optimizer.learning_rate=0.05,client.batch=16",
                                                  "optimizer.learning_rate=0.05,client.batch=64", "runs.csv",
                                                  "sweep.csv", "sweep.md"});
  CHECK(result.out.ends_with(read(out / "sweep.md")));
  CHECK(result.out.find("run 8 of 8: optimizer.learning_rate=0.05,client.batch=64/seed-2\n") !=
        std::string::npos);

  const auto table = loru::io::read_csv(out / "sweep.csv");
  CHECK(table.columns == std::vector<std::string>{"optimizer.learning_rate", "client.batch", "seeds",
                                                  "diverged", "validation_accuracy",
                                                  "validation_accuracy_deviation", "test_accuracy",
                                                  "test_accuracy_deviation", "uplink_bytes", "merges"});
  REQUIRE(table.rows.size() == 4);
  CHECK(table.text(2, "optimizer.learning_rate") == "0.05");
  CHECK(table.text(2, "client.batch") == "16");
  const fs::path runs = out / "optimizer.learning_rate=0.05,client.batch=16";
  for (const char* set : {"validation", "test"}) {
    const double first = accuracy(runs / "seed-1", set), second = accuracy(runs / "seed-2", set);
    const std::string column = std::string(set) + "_accuracy";
    CHECK(table.number(2, column).value() == Approx((first + second) / 2));
    CHECK(table.number(2, column + "_deviation").value() ==
          Approx(std::abs(first - second) / std::sqrt(2.0)).margin(1e-12));
  }
  CHECK(table.number(2, "seeds") == 2.0);
  CHECK(table.number(2, "diverged") == 0.0);
  CHECK(table.number(2, "uplink_bytes") == summary(runs / "seed-1")["uplink_bytes"].get<double>());
  CHECK(table.number(2, "merges") == 0.0);

  const auto each = loru::io::read_csv(out / "runs.csv");
  REQUIRE(each.rows.size() == 8);
  CHECK(each.number(5, "seed") == 2.0);
  CHECK(each.text(5, "folder") == "optimizer.learning_rate=0.05,client.batch=16/seed-2");
  CHECK(each.number(5, "validation_accuracy") == accuracy(runs / "seed-2", "validation"));

  // A run of a sweep is the run that the configuration gives alone.
  REQUIRE(federate(scratch.path,
                   {(scratch.path / "small.toml").string(), "--set", "optimizer.learning_rate=0.05", "--set",
                    "client.batch=16", "--seed", "2", "--out", (scratch.path / "alone").string()})
              .code == 0);
  CHECK(read(scratch.path / "alone" / "config.toml") == read(runs / "seed-2" / "config.toml"));
  CHECK(summary(scratch.path / "alone")["model_sha256"] == summary(runs / "seed-2")["model_sha256"]);
}

TEST_CASE("sweep: --select best writes the configuration that is best on the validation set") {
  const Scratch scratch;
  const Result result =
      sweep(scratch, with(two_rates, {"--seeds", "1,2", "--select", "best", "--set", "client.batch=16"}));
  const fs::path out = scratch.path / "out", best = out / "best.toml";
  CHECK(result.out.find("best: optimizer.learning_rate=0.05: validation accuracy ") != std::string::npos);
  REQUIRE(federate(scratch.path, {best.string(), "--seed", "2", "--out", (scratch.path / "chosen").string()})
              .code == 0);
  CHECK(summary(scratch.path / "chosen")["model_sha256"] ==
        summary(out / "optimizer.learning_rate=0.05" / "seed-2")["model_sha256"]);
  const Result own = federate(scratch.path, {best.string(), "--set", "data.validation=0", "--out",
                                             (scratch.path / "final").string()});
  CAPTURE(own.err);
  REQUIRE(own.code == 0);
  CHECK(summary(scratch.path / "final")["seed"] == 3);  // the file's

  const Result onto =
      federate(scratch.path, {best.string(), "--sweep", "client.epochs=1,2", "--out", out.string()});
  CHECK(onto.code == 2);
  CHECK_THAT(onto.err, ContainsSubstring("--sweep: expected another --out than the folder of"));
  CHECK(fs::exists(best));

  // Another sweep does not leave the choice of the one before.
  sweep(scratch, two_rates);
  CHECK(!fs::exists(best));
}

TEST_CASE("sweep: finished runs stay, others are run") {
  const Scratch scratch;
  sweep(scratch, two_rates);
  const fs::path out = scratch.path / "out", low = out / "optimizer.learning_rate=0.0001" / "seed-3",
                 high = out / "optimizer.learning_rate=0.05" / "seed-3";
  const auto written = [](const fs::path& run) { return fs::last_write_time(run / "summary.json"); };
  const auto first = written(low), second = written(high);
  const std::string table = read(out / "sweep.csv");
  const Result again = sweep(scratch, two_rates);
  CHECK(again.out.find("seed-3, which is there\n") != std::string::npos);
  CHECK(written(low) == first);
  CHECK(written(high) == second);

  // What a killed run leaves: no summary.
  fs::remove(low / "summary.json");
  sweep(scratch, two_rates);
  CHECK(written(low) > first);
  CHECK(written(high) == second);
  CHECK(read(out / "sweep.csv") == table);
  // A damaged one.
  const auto anew = written(low);
  write(low / "summary.json", read(low / "summary.json").substr(0, 40));
  sweep(scratch, two_rates);
  CHECK(written(low) > anew);
  CHECK(written(high) == second);
  CHECK(read(out / "sweep.csv") == table);
  sweep(scratch, with(two_rates, {"--set", "client.batch=8"}));
  CHECK(written(high) > second);
}

TEST_CASE("sweep: interrupted, it goes on where it was") {
  const Scratch scratch;
  const int signal = GENERATE(SIGINT, SIGKILL);
  const Arguments arguments{"--sweep", "client.batch=4,5", "--set", "federation.rounds=150", "--select",
                            "best"};
  const fs::path out = scratch.path / "out", first = out / "client.batch=4" / "seed-3",
                 second = out / "client.batch=5" / "seed-3";
  const Process process(scratch.path, sweep_of(scratch, arguments));
  for (int i = 0; i < 6000 && !fs::exists(second / "rounds.csv"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  process.signal(signal);
  const Result result = process.wait();
  CAPTURE(result.err);
  REQUIRE(result.code == (signal == SIGINT ? 130 : 1000 + SIGKILL));
  const auto written = fs::last_write_time(first / "summary.json");
  CHECK(!fs::exists(out / "best.toml"));
  if (signal == SIGINT) {
    check_one_line(result);
    const auto table = loru::io::read_csv(out / "sweep.csv");
    CHECK(table.number(0, "seeds") == 1.0);
    CHECK(table.number(1, "seeds") == 0.0);
    CHECK(table.text(1, "validation_accuracy").empty());
  }
  sweep(scratch, arguments);
  CHECK(fs::last_write_time(first / "summary.json") == written);
  CHECK(summary(second)["rounds"] == 150);
  CHECK(loru::io::read_csv(out / "sweep.csv").number(1, "seeds") == 1.0);
  CHECK(fs::exists(out / "best.toml"));
}

TEST_CASE("sweep: a run that diverges is a row, is not chosen, and is not run again") {
  const Scratch scratch;
  const Arguments arguments{"--sweep", "optimizer.learning_rate=1e38,0.05", "--select", "best"};
  const Result result = sweep(scratch, arguments);
  check_one_line(result);
  CHECK(result.out.find("1 (1 diverged)") != std::string::npos);
  CHECK(result.out.find("best: optimizer.learning_rate=0.05:") != std::string::npos);
  const fs::path out = scratch.path / "out";
  const auto table = loru::io::read_csv(out / "sweep.csv");
  CHECK(table.number(0, "diverged") == 1.0);
  CHECK(table.text(0, "validation_accuracy").empty());
  CHECK(table.number(1, "validation_accuracy").value() > 0.5);
  CHECK(loru::io::read_csv(out / "runs.csv").number(0, "diverged") == 1.0);
  const std::string again = sweep(scratch, arguments).err;
  CHECK(again.empty());

  const Result none = sweep(scratch, {"--sweep", "optimizer.learning_rate=1e38,2e38", "--select", "best"}, 1);
  CHECK(none.err.ends_with("--select: every point of the grid has a run that diverged\n"));
  CHECK(!fs::exists(out / "best.toml"));
}

TEST_CASE("sweep: values of any type, with commas in them") {
  const Scratch scratch;
  sweep(scratch, {"--sweep", "federation.keep_rounds=[],[0,2]", "--sweep", "optimizer.name=sgd, adam",
                  "--set", "data.validation=0"});
  const fs::path out = scratch.path / "out";
  CHECK(names_in(out) == std::vector<std::string>{"federation.keep_rounds=,optimizer.name=adam",
                                                  "federation.keep_rounds=,optimizer.name=sgd",
                                                  "federation.keep_rounds=0+2,optimizer.name=adam",
                                                  "federation.keep_rounds=0+2,optimizer.name=sgd", "runs.csv",
                                                  "sweep.csv", "sweep.md"});
  CHECK(fs::exists(out / "federation.keep_rounds=0+2,optimizer.name=adam" / "seed-3" / "rounds" /
                   "2.safetensors"));
  const auto table = loru::io::read_csv(out / "sweep.csv");
  CHECK(table.columns == std::vector<std::string>{"federation.keep_rounds", "optimizer.name", "seeds",
                                                  "diverged", "test_accuracy", "test_accuracy_deviation",
                                                  "uplink_bytes", "merges"});
  CHECK(table.text(3, "optimizer.name") == "adam");
  CHECK(table.text(3, "federation.keep_rounds") == "[ 0, 2 ]");

  // Quoted strings with commas and slashes, which a folder's name cannot have.
  const fs::path examples = fs::path(LORU_SOURCE_DIR) / "examples" / "data";
  fs::create_directories(scratch.path / "a,b");
  fs::copy_file(examples / "digits.csv.gz", scratch.path / "a,b" / "digits.csv.gz");
  const std::string other = (scratch.path / "a,b").string();
  fs::remove_all(out);
  sweep(scratch, {"--sweep", "data.dir=\"" + examples.string() + "\",\"" + other + '"'});
  CHECK(names_in(out).size() == 5);
  for (const std::string& name : names_in(out)) CHECK(name.find('/') == std::string::npos);
  const auto both = loru::io::read_csv(out / "sweep.csv");
  CHECK(both.text(1, "data.dir") == other);
  CHECK(both.text(0, "test_accuracy") == both.text(1, "test_accuracy"));
}

TEST_CASE("sweep: what is wrong is said before anything is run") {
  const Scratch scratch;
  const auto refused = [&](const Arguments& arguments, const std::string& expected) {
    const Result result = federate(scratch.path, sweep_of(scratch, arguments));
    CAPTURE(arguments, result.err);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(result.err.find(expected) != std::string::npos);
    CHECK(!fs::exists(scratch.path / "out"));
  };
  const auto refused_key = [&](const std::string& sweep, const std::string& expected) {
    refused({"--sweep", sweep}, expected);
  };
  refused_key("client.batc=16,32", "--sweep: unknown key 'client.batc', nearest is 'client.batch'");
  refused_key("client.batch=16", "--sweep: client.batch: expected at least two values, got 1");
  refused_key("client.batch=", "--sweep: client.batch: expected at least two values, got 0");
  refused_key("client.batch", "--sweep: expected KEY=V1,V2,..., got 'client.batch'");
  refused_key("model.name=cnn,,mlp", "--sweep: model.name: expected a value between commas");
  refused_key("client.batch=16,0", "--sweep: client.batch: expected a whole number >= 1, got integer 0");
  refused_key("algorithm.name=fedavg,fedlru", "got string 'fedlru', nearest is \"fedloru\"");
  refused_key("client.batch=16,8,16", "--sweep: client.batch: expected different values, got 16 twice");
  refused_key("optimizer.learning_rate=1,1.0", "got 1 and 1.0, which give the same configuration");
  refused_key("algorithm.tau=1,2", "--sweep: algorithm.tau: expected values that make a difference");
  refused_key("seed=1,2", "--sweep: seed: seeds are given by --seeds");
  refused_key("task.kind=classification,regression", "--sweep: expected one task");
  // Found where data and model are there.
  refused_key("federation.cohort=4,9", "federation.cohort: expected at most 8, the clients, got 9");
  refused_key("data.validation=0.1,0.0001", "data.validation: expected a share that leaves samples");
  refused_key("ranks.rule=same,tiers", "ranks: values: expected at least one rank");
  refused({"--sweep", "client.batch=16,32", "--sweep", "client.batch=8,64"},
          "--sweep: expected different keys, got client.batch twice");
  refused({"--sweep", "client.batch=16,32", "--set", "client.batch=8"},
          "--sweep: client.batch: --set gives it too");
  refused(with(two_rates, {"--select", "best", "--set", "data.validation=0"}),
          "--select: data.validation: expected a number in (0, 1) to choose by, got 0");
  refused({"--sweep", "data.validation=0.1,0.2", "--select", "best"},
          "--select: data.validation: expected a sweep over other keys than those of data");
  refused(with(two_rates, {"--select", "worst"}), "--select");
  refused({"--select", "best"}, "--sweep");
  refused(with(two_rates, {"--seeds", "1,2,1"}), "--sweep: seeds: expected different ones, got 1 twice");
  refused(with(two_rates, {"--seeds", "1,2", "--seed", "1"}), "excludes");
  for (const char* other : {"--describe", "--explain"}) refused(with(two_rates, {other}), "excludes");
  refused(with(two_rates, {"--compare", "a.toml"}), "excludes");

  // Its folder is its own.
  REQUIRE(federate(scratch.path,
                   {(scratch.path / "small.toml").string(), "--out", (scratch.path / "run").string()})
              .code == 0);
  const auto into = [&](const fs::path& folder) {
    Arguments arguments = two_rates;
    arguments.insert(arguments.begin(), {(scratch.path / "small.toml").string(), "--out", folder.string()});
    const Result result = federate(scratch.path, arguments);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK_THAT(into(scratch.path / "run"),
             ContainsSubstring("--sweep: --out: expected another folder than a run's"));
  const HeldFolder held(scratch.path / "held");
  CHECK_THAT(into(scratch.path / "held"), ContainsSubstring("held is in use by process 4711"));

  const Result nothing = federate(scratch.path, {"--sweep", "client.batch=1,2"});
  CHECK(nothing.code == 2);
  CHECK_THAT(nothing.err, ContainsSubstring("CONFIG is required"));
}
