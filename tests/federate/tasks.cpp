// Tasks other than classification, from the configuration to a run's files; data of one's own; what a
// finished run is good for.

#include <cmath>
#include <loru/io/csv.hpp>
#include <loru/io/safetensors.hpp>

#include "federate/program.hpp"

using namespace loru_test;
using loru::Index, loru::Shape;

namespace {

template <class V>
loru::Tensor<V> tensor(const Shape& shape, const std::vector<V>& values) {
  loru::Tensor<V> t(shape);
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

/// The bundled digits with other targets, written by the script that writes them for users.
const fs::path& digits() {
  static const Scratch scratch;
  static const bool made = [] {
    const std::string script = LORU_SOURCE_DIR "/examples/data/digits_targets.py";
    return std::system(("python3 -B '" + script + "' '" + scratch.path.string() + "'").c_str()) == 0;
  }();
  REQUIRE(made);
  return scratch.path;
}

Result run_bundled(const Scratch& scratch, const std::string& name, Arguments more = {},
                   const std::string& threads = "2") {
  Arguments arguments{(bundled / "own_data" / name).string(),
                      "--out",
                      (scratch.path / "out").string(),
                      "--data-dir",
                      digits().string(),
                      "--threads",
                      threads};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

/// Twelve points with targets y, as files to train and to test on.
template <class V>
void write_points(const fs::path& folder, const Shape& shape, const std::vector<V>& y,
                  const std::string& name = "train") {
  std::vector<float> x(24);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) / 7.0f;
  loru::io::Archive archive;
  archive.put("x", tensor<float>({12, 2}, x));
  archive.put("y", tensor<V>(shape, y));
  loru::io::save(folder / (name + ".safetensors"), archive);
}

Arguments on_points(Arguments more = {}) {
  Arguments all;
  for (const char* assignment :
       {"data.name=safetensors", "data.train=train.safetensors", "data.test=test.safetensors"})
    all.insert(all.end(), {"--set", assignment});
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

Result run_points(const Scratch& scratch, Arguments more = {}) {
  Arguments all = on_points({"--data-dir", scratch.path.string()});
  all.insert(all.end(), more.begin(), more.end());
  return run_tiny(scratch.path, "out", all);
}

void check_refused(const Result& result, const std::string& expected) {
  CAPTURE(result.err, expected);
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.find(expected) != std::string::npos);
}

const std::vector<std::int32_t> two_classes{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};

}  // namespace

TEST_CASE("regression on real data: the ink that was wiped out") {
  const Scratch scratch;
  const Result result = run_bundled(scratch, "digits_ink.toml");
  CAPTURE(result.err, result.out);
  REQUIRE(result.code == 0);
  const auto rounds = loru::io::read_csv(scratch.path / "out" / "rounds.csv");
  CHECK(rounds.columns == std::vector<std::string>{"round", "cohort", "train_loss", "test_accuracy",
                                                   "test_loss", "uplink_bytes", "downlink_bytes", "seconds",
                                                   "dropped", "rejected", "test_mae", "test_r2"});
  const auto s = summary(scratch.path / "out");
  CHECK(s["final_test_accuracy"].is_null());
  CHECK(s["best_test_accuracy"].is_null());
  CHECK(s["final_test_r2"] > 0.5);
  CHECK(s["final_test_mae"] < 0.2);
  CHECK(s["task"] == "regression");
  CHECK_FALSE(s.contains("personal_accuracy"));
  const std::size_t last = rounds.rows.size() - 1;
  CHECK(rounds.text(last, "test_accuracy").empty());
  CHECK(rounds.number(last, "test_r2") == s["final_test_r2"].get<double>());
  CHECK(result.out.find("r2 0.") != std::string::npos);
  const Result again = federate(scratch.path, {"eval", (scratch.path / "out").string()});
  CHECK(again.out.starts_with("mae "));
  CHECK(again.out.find("\nr2 " + loru::to_text(s["final_test_r2"].get<double>()) + "\nloss ") !=
        std::string::npos);
}

TEST_CASE("several labels on real data: traits of digits, the same for any threads") {
  const Scratch scratch;
  const Result result = run_bundled(scratch, "digits_traits.toml", {"--set", "federation.rounds=15"});
  CAPTURE(result.err, result.out);
  REQUIRE(result.code == 0);
  const auto s = summary(scratch.path / "out");
  CHECK(s["final_test_f1"] > 0.85);
  CHECK(s["final_test_auc"] > 0.9);
  REQUIRE(
      run_bundled(scratch, "digits_traits.toml", {"--set", "federation.rounds=15", "--quiet"}, "1").code ==
      0);
  const auto one = summary(scratch.path / "out");
  for (const char* key : {"final_test_f1", "final_test_auc", "final_test_loss", "model_sha256"})
    CHECK(one[key] == s[key]);
}

TEST_CASE("describe counts what there is to predict") {
  const Scratch scratch;
  const Result result = run_bundled(scratch, "digits_traits.toml", {"--describe"});
  CAPTURE(result.err);
  CHECK(result.code == 0);
  CHECK(result.out.find("1x8x8, 3 labels of which several hold") != std::string::npos);
  CHECK(result.out.find("partition natural, 20 clients") != std::string::npos);
}

TEST_CASE("predict writes outputs of which the recorded metrics follow") {
  const Scratch scratch;
  REQUIRE(run_bundled(scratch, "digits_ink.toml", {"--set", "federation.rounds=2"}).code == 0);
  const std::string test = (digits() / "digits_ink.test.safetensors").string(),
                    out = (scratch.path / "out").string(), y_file = (scratch.path / "y.safetensors").string(),
                    csv = (scratch.path / "y.csv").string();
  const Result result = federate(scratch.path, {"predict", out, "--data", test, "--out", y_file});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto y = loru::io::load(y_file).get<float>("y", {359, 4}), t = loru::io::load(test).get<float>("y");
  double absolute = 0.0;
  for (Index i = 0; i < y.size(); ++i)
    absolute += std::abs(static_cast<double>(y.data()[i]) - static_cast<double>(t.data()[i]));
  CHECK(absolute / static_cast<double>(y.size()) ==
        Approx(summary(scratch.path / "out")["final_test_mae"].get<double>()).epsilon(1e-9));
  REQUIRE(federate(scratch.path, {"predict", out, "--data", test, "--out", csv, "--threads", "2"}).code == 0);
  const auto table = loru::io::read_csv(csv);
  CHECK(table.columns == std::vector<std::string>{"y0", "y1", "y2", "y3"});
  REQUIRE(table.rows.size() == 359);
  CHECK(table.number(358, "y3") == Approx(y.data()[y.size() - 1]).epsilon(1e-6));

  write_points<std::int32_t>(scratch.path, {12}, two_classes);
  const std::string points = (scratch.path / "train.safetensors").string();
  check_refused(federate(scratch.path, {"predict", out, "--data", points, "--out", y_file}),
                "train.safetensors: tensor x: expected samples of shape (1, 8, 8)");
  check_refused(federate(scratch.path, {"predict", out, "--data", "nowhere", "--out", y_file}), "nowhere");
  check_refused(federate(scratch.path, {"predict", out, "--out", y_file}), "--data is required");
}

TEST_CASE("keep_best keeps the model of the best round; stop_at ends the run there") {
  const Scratch scratch;
  const fs::path out = scratch.path / "out";
  const Arguments keep{"--set", "federation.keep_best=true", "--set", "federation.eval_every=1"};
  REQUIRE(run_tiny(scratch.path, "out", keep).code == 0);
  const auto rounds = loru::io::read_csv(out / "rounds.csv");
  std::vector<double> accuracies;
  for (std::size_t i = 0; i < rounds.rows.size(); ++i)
    accuracies.push_back(*rounds.number(i, "test_accuracy"));
  const auto best = std::max_element(accuracies.begin(), accuracies.end());
  CHECK(summary(out)["best_round"] == best - accuracies.begin() + 1);
  fs::copy_file(out / "best.safetensors", out / "model.safetensors", fs::copy_options::overwrite_existing);
  const Result evaluated = federate(scratch.path, {"eval", out.string()});
  CHECK(evaluated.out.starts_with("accuracy " + loru::to_text(*best) + '\n'));

  // The second round's accuracy is reached in the second round at the latest.
  const std::string goal = "federation.stop_at=" + loru::to_text(accuracies[1]);
  const Result stopped = run_tiny(scratch.path, "out", {"--set", goal, "--set", "federation.eval_every=1"});
  CAPTURE(stopped.err);
  CHECK(stopped.code == 0);
  const Index reached = accuracies[0] >= accuracies[1] ? 1 : 2;
  CHECK(summary(out)["rounds"] == reached);
  CHECK(summary(out)["stopped_after"] == reached);
  CHECK(stopped.out.find("stopped after round ") != std::string::npos);
  CHECK(names_in(out) == std::vector<std::string>{"clients.csv", "config.toml", "model.safetensors",
                                                  "rounds.csv", "summary.json"});
  check_refused(
      run_tiny(scratch.path, "out", {"--set", "federation.stop_at=0.5", "--set", "federation.eval_every=0"}),
      "federation.eval_every: expected at least 1 for keep_best and stop_at");
}

TEST_CASE("stop_at goes by the task's first metric in its direction") {
  const Scratch scratch;
  const Result result = run_bundled(
      scratch, "digits_ink.toml", {"--set", "federation.stop_at=0.2", "--set", "federation.keep_best=true"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto s = summary(scratch.path / "out");
  CHECK(s["final_test_mae"] <= 0.2);
  CHECK(s["rounds"] < 30);
  CHECK(s["best_round"] == s["rounds"]);
}

TEST_CASE("data of one's own: wrong combinations are one line") {
  const Scratch scratch;
  const std::vector<float> numbers(24, 0.5f);
  const auto write = [&](const Shape& shape, const auto& train, const auto& test) {
    write_points(scratch.path, shape, train, "train");
    write_points(scratch.path, shape, test, "test");
  };
  write({12}, two_classes, two_classes);
  const Result good = run_points(scratch);
  CAPTURE(good.err);
  CHECK(good.code == 0);
  check_refused(run_points(scratch, {"--set", "task.kind=regression"}),
                "expected numbers as targets, got classes");
  check_refused(run_points(scratch, {"--set", "task.kind=multi"}), "task.kind: ");
  check_refused(run_points(scratch, {"--set", "model.name=cnn"}),
                "model.name: cnn does not take samples of shape (2)");
  check_refused(run_points(scratch, {"--set", "data.test=gone.safetensors"}), "gone.safetensors");
  check_refused(run_points(scratch, {"--set", "data.augment=[\"flip\"]"}),
                "expected images for the augmentation");
  check_refused(run_points(scratch, {"--set", "partition.kind=natural"}), "names no natural clients");
  auto high = two_classes;
  high[3] = 7;
  write({12}, two_classes, high);
  check_refused(run_points(scratch), "test.safetensors: sample 3: expected a label in [0, 2), got 7");
  high[3] = -2;
  write({12}, high, two_classes);
  check_refused(run_points(scratch), "train.safetensors: tensor y: sample 3: expected a number >= 0, got -2");

  write({12, 2}, numbers, numbers);
  check_refused(run_points(scratch), "classification: ");
  const Result regression = run_points(scratch, {"--set", "task.kind=regression"});
  CAPTURE(regression.err);
  CHECK(regression.code == 0);
  for (const char* kind : {"dirichlet", "shards", "virtual"})
    check_refused(run_points(scratch, {"--set", "task.kind=regression", "--set",
                                       std::string("partition.kind=") + kind}),
                  std::string(kind) + ": " + (scratch.path / "train.safetensors").string() +
                      ": expected classes as targets, got numbers");
  auto infinite = numbers;
  infinite[5] = std::numeric_limits<float>::infinity();
  write({12, 2}, infinite, numbers);
  check_refused(run_points(scratch, {"--set", "task.kind=regression"}),
                "sample 2: expected finite targets, got inf");
  write({12, 2}, numbers, std::vector<float>(24));
  write_points<float>(scratch.path, {11, 2}, std::vector<float>(22), "test");
  check_refused(run_points(scratch, {"--set", "task.kind=regression"}),
                "for the 12 samples of x, got F32 (11, 2)");
}
