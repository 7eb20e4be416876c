// The validation set of a run, models kept by round, and a model that starts at zero.

#include <loru/io/csv.hpp>
#include <loru/io/safetensors.hpp>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

std::vector<double> column(const loru::io::CsvTable& table, const std::string& name) {
  std::vector<double> values;
  for (std::size_t i = 0; i < table.rows.size(); ++i) values.push_back(table.number(i, name).value());
  return values;
}

/// The model in a run's folder is tested as the run's own.
std::string tested(const fs::path& folder) {
  const Result result = federate(folder, {"eval", folder.string()});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  return result.out;
}

void use_model(const fs::path& out, const std::string& file) {
  fs::copy_file(out / file, out / "model.safetensors", fs::copy_options::overwrite_existing);
}

}  // namespace

TEST_CASE("a validation set is evaluated whenever the test set is, in the last column") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out", {"--set", "data.validation=0.25"}).code == 0);
  const auto rounds = loru::io::read_csv(scratch.path / "out" / "rounds.csv");
  CHECK(rounds.columns == std::vector<std::string>{"round", "cohort", "train_loss", "test_accuracy",
                                                   "test_loss", "uplink_bytes", "downlink_bytes", "seconds",
                                                   "dropped", "rejected", "validation_accuracy"});
  for (std::size_t i = 0; i < rounds.rows.size(); ++i) {
    const auto accuracy = rounds.number(i, "validation_accuracy");
    CHECK(accuracy.has_value() == rounds.number(i, "test_accuracy").has_value());
    if (accuracy) CHECK(*accuracy * 60 == Approx(std::round(*accuracy * 60)).margin(1e-9));  // of 60 samples
  }
  const auto s = summary(scratch.path / "out");
  CHECK(s["final_validation_accuracy"] == rounds.number(4, "validation_accuracy").value());
  CHECK(names_in(scratch.path / "out").size() == 5);

  // A run's own configuration holds out the same samples, whatever the threads.
  REQUIRE(federate(scratch.path, {(scratch.path / "out" / "config.toml").string(), "--threads", "1", "--out",
                                  (scratch.path / "again").string()})
              .code == 0);
  const auto again = summary(scratch.path / "again");
  CHECK(again["model_sha256"] == s["model_sha256"]);
  CHECK(again["final_validation_accuracy"] == s["final_validation_accuracy"]);

  const Result described = run_tiny(scratch.path, "none", {"--set", "data.validation=0.25", "--describe"});
  CHECK(described.out.find("180 samples to train on, 60 to validate on, 80 to test on") != std::string::npos);
}

TEST_CASE("validation by a task's own metrics, also where no round is evaluated") {
  const Scratch scratch;
  loru::Tensor<float> x({40, 2}), y({40, 1});
  for (loru::Index i = 0; i < 40; ++i) {
    x.data()[2 * i] = static_cast<float>(i % 7) / 7.0f;
    x.data()[2 * i + 1] = static_cast<float>(i % 5) / 5.0f;
    y.data()[i] = x.data()[2 * i];
  }
  loru::io::Archive archive;
  archive.put("x", x);
  archive.put("y", y);
  loru::io::save(scratch.path / "points.safetensors", archive);
  const std::string file = (scratch.path / "points.safetensors").string();
  const auto run = [&](const std::string& every) {
    return run_tiny(scratch.path, "out",
                    {"--set", "data.name=safetensors", "--set", "data.train=" + file, "--set",
                     "data.test=" + file, "--set", "task.kind=regression", "--set", "data.validation=0.2",
                     "--set", "federation.eval_every=" + every});
  };
  REQUIRE(run("1").code == 0);
  const auto rounds = loru::io::read_csv(scratch.path / "out" / "rounds.csv");
  CHECK(std::vector<std::string>(rounds.columns.end() - 4, rounds.columns.end()) ==
        std::vector<std::string>{"test_mae", "test_r2", "validation_mae", "validation_r2"});
  const auto s = summary(scratch.path / "out");
  CHECK(s["final_validation_mae"] == rounds.number(4, "validation_mae").value());
  CHECK(s["final_validation_r2"] == rounds.number(4, "validation_r2").value());
  REQUIRE(run("0").code == 0);
  CHECK(summary(scratch.path / "out")["final_validation_mae"] == s["final_validation_mae"]);
}

TEST_CASE("keep_best and stop_at go by the validation set where there is one") {
  const Scratch scratch;
  const fs::path out = scratch.path / "out";
  const Arguments held{"--set", "data.validation=0.3",      "--set", "federation.eval_every=1",
                       "--set", "federation.rounds=8",      "--set", "data.separation=2",
                       "--set", "federation.keep_best=true"};
  REQUIRE(run_tiny(scratch.path, "out", held).code == 0);
  const auto rounds = loru::io::read_csv(out / "rounds.csv");
  const auto chosen = column(rounds, "validation_accuracy"), test = column(rounds, "test_accuracy");
  const auto best = std::max_element(chosen.begin(), chosen.end()) - chosen.begin();
  REQUIRE(best != std::max_element(test.begin(), test.end()) - test.begin());  // else this tells nothing
  CHECK(summary(out)["best_round"] == best + 1);
  use_model(out, "best.safetensors");
  CHECK(tested(out).starts_with("accuracy " + loru::to_text(test[static_cast<std::size_t>(best)]) + '\n'));

  Arguments stop = held;
  stop.insert(stop.end(),
              {"--set", "federation.stop_at=" + loru::to_text(chosen[static_cast<std::size_t>(best)])});
  const Result stopped = run_tiny(scratch.path, "out", stop);
  REQUIRE(stopped.code == 0);
  CHECK(summary(out)["stopped_after"] == best + 1);
  CHECK(stopped.out.find("validation accuracy 0.") != std::string::npos);
}

TEST_CASE("keep_rounds keeps the model of those rounds") {
  const Scratch scratch;
  const fs::path out = scratch.path / "out", rounds = out / "rounds";
  const Arguments every{"--set", "federation.eval_every=1"};
  Arguments keep = every;
  keep.insert(keep.end(), {"--set", "federation.keep_rounds=[0, 2, 5]"});
  REQUIRE(run_tiny(scratch.path, "out", keep).code == 0);
  REQUIRE(run_tiny(scratch.path, "plain", every).code == 0);
  const auto s = summary(out);
  CHECK(s["model_sha256"] == summary(scratch.path / "plain")["model_sha256"]);
  CHECK(names_in(rounds) == std::vector<std::string>{"0.safetensors", "2.safetensors", "5.safetensors"});
  CHECK(read(rounds / "5.safetensors") == read(out / "model.safetensors"));

  // The second round ends with a merge; a run of two rounds ends there.
  REQUIRE(run_tiny(scratch.path, "short", {"--set", "federation.rounds=2"}).code == 0);
  CHECK(read(rounds / "2.safetensors") == read(scratch.path / "short" / "model.safetensors"));
  const auto first = loru::io::load(rounds / "0.safetensors");
  CHECK(first.metadata().at("alpha") == "4");
  const auto b = first.get<float>("fc2.lora_B.weight");
  CHECK(std::all_of(b.data(), b.data() + b.size(), [](float value) { return value == 0.0f; }));
  const auto table = loru::io::read_csv(out / "rounds.csv");
  use_model(out, "rounds/2.safetensors");
  CHECK(tested(out).starts_with("accuracy " + table.text(1, "test_accuracy") + '\n'));

  // The next run begins without them, and leaves what is not its own.
  write(rounds / "notes.txt", "mine");
  REQUIRE(run_tiny(scratch.path, "out", {"--set", "federation.keep_rounds=[1]"}).code == 0);
  CHECK(names_in(rounds) == std::vector<std::string>{"1.safetensors", "notes.txt"});
  fs::remove(rounds / "notes.txt");
  REQUIRE(run_tiny(scratch.path, "out").code == 0);
  CHECK(!fs::exists(rounds));
  write(rounds, "a file");
  const Result blocked = run_tiny(scratch.path, "out", keep);
  CHECK(blocked.code == 2);
  check_one_line(blocked);
}

TEST_CASE("keep_rounds in a warm-up: the model is dense") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out",
                   {"--set", "federation.warmup_rounds=2", "--set", "federation.keep_rounds=[0, 2, 3]"})
              .code == 0);
  REQUIRE(run_tiny(scratch.path, "dense", {"--set", "algorithm.name=fedavg", "--set", "federation.rounds=2"})
              .code == 0);
  const fs::path rounds = scratch.path / "out" / "rounds";
  CHECK(read(rounds / "2.safetensors") == read(scratch.path / "dense" / "model.safetensors"));
  CHECK(!loru::io::load(rounds / "0.safetensors").contains("fc2.lora_A.weight"));
  CHECK(loru::io::load(rounds / "3.safetensors").contains("fc2.lora_A.weight"));
}

TEST_CASE("model.init = zero: logistic regression from zero weights") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "out",
                   {"--set", "model.name=logistic", "--set", "model.init=zero", "--set",
                    "algorithm.name=fedavg", "--set", "federation.keep_rounds=[0]"})
              .code == 0);
  const auto first = loru::io::load(scratch.path / "out" / "rounds" / "0.safetensors");
  for (const char* name : {"fc.weight", "fc.bias"}) {
    const auto values = first.get<float>(name);
    CHECK(std::all_of(values.data(), values.data() + values.size(), [](float x) { return x == 0.0f; }));
  }
  CHECK(summary(scratch.path / "out")["final_test_accuracy"] > 0.5);
}
