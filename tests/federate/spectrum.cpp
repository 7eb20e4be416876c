// federate spectrum: its tables, exact values on real data, resuming, and what it refuses.

#include <cmath>

#include <loru/cpu/cpu.hpp>
#include <loru/data/batch.hpp>
#include <loru/data/load.hpp>
#include <loru/io/csv.hpp>
#include <loru/linalg/svd.hpp>

#include "federate/program.hpp"

using namespace loru_test;
using loru::Index, loru::Shape;

namespace {

Result measured(const Scratch& scratch, const std::string& source, Arguments more = {}) {
  Arguments arguments{"spectrum", source, "--out", (scratch.path / "out").string(), "--threads", "2"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(scratch.path, arguments);
}

/// Softmax regression at zero weights: H = (1/C)·(I − 11ᵀ/C) ⊗ X with X = mean x·xᵀ over x with a 1 for the
/// bias. Its eigenvalues are those of X divided by C, each C − 1 times.
struct SoftmaxAtZero {
  double norm = 0.0, frobenius2 = 0.0, trace = 0.0;

  SoftmaxAtZero(const loru::data::Dataset& set, Index count) {
    const Index n = set.sample.size() + 1, step = 1000;
    loru::Tensor<double> x2(Shape{n, n});
    loru::fill(x2, 0.0);
    for (Index first = 0; first < count; first += step) {
      std::vector<Index> samples;
      for (Index i = first; i < std::min(count, first + step); ++i) samples.push_back(i);
      const auto batch = loru::data::gather<double>(set, samples, loru::Layout::row_major);
      loru::Tensor<double> x(Shape{std::ssize(samples), n});
      for (Index i = 0; i < std::ssize(samples); ++i) {
        std::copy_n(batch.inputs.data() + i * (n - 1), n - 1, x.data() + i * n);
        x.data()[i * n + n - 1] = 1.0;
      }
      loru::add_scaled(x2, 1.0 / static_cast<double>(count), loru::matmul(x, x, {.a = loru::Op::transpose}));
    }
    const double classes = static_cast<double>(set.classes);
    for (const double value : loru::linalg::symmetric_eigen(x2).values) {
      norm = std::max(norm, value / classes);
      frobenius2 += (classes - 1.0) * value * value / (classes * classes);
      trace += (classes - 1.0) * value / classes;
    }
  }
};

void check_softmax(const Scratch& scratch, const loru::data::Source& source) {
  const auto set = loru::data::load(source).train;
  const SoftmaxAtZero exact(set, set.size());
  write(scratch.path / "zero.toml", "[data]\nname = \"" + source.name +
                                        "\"\n[model]\nname = \"logistic\"\ninit = \"zero\"\n"
                                        "[algorithm]\nname = \"fedavg\"\n[federation]\nclients = 10\n");
  const Result result =
      measured(scratch, (scratch.path / "zero.toml").string(), {"--clients", "0", "--quiet"});
  REQUIRE(result.code == 0);
  const auto table = loru::io::read_csv(scratch.path / "out" / "spectrum.csv");
  REQUIRE(table.rows.size() == 1);
  CHECK(table.text(0, "who") == "server");
  CHECK(table.number<Index>(0, "samples") == set.size());
  const double rank = exact.frobenius2 / (exact.norm * exact.norm);
  CHECK(*table.number(0, "norm") == Approx(exact.norm).epsilon(1e-4));
  CHECK(*table.number(0, "stable_rank_error") <= 5e-3 * rank);
  CHECK(std::abs(*table.number(0, "stable_rank") - rank) < 4.0 * *table.number(0, "stable_rank_error"));
  CHECK(*table.number(0, "trace") == Approx(exact.trace).epsilon(0.05));
}

}  // namespace

TEST_CASE("federate spectrum: softmax regression at zero weights on digits, exactly") {
  const Scratch scratch;
  check_softmax(scratch, {.name = "digits", .also = {LORU_SOURCE_DIR "/examples/data"}});
}

TEST_CASE("federate spectrum: softmax regression at zero weights on all of Fashion-MNIST") {
  const loru::data::Source source{.name = "fashion-mnist"};
  try {
    loru::data::load(source);
  } catch (const loru::DataError& error) {
    if (std::string(error.what()).find("data set not found") == std::string::npos) throw;
    LORU_SKIP("Fashion-MNIST is not on this machine");
  }
  const Scratch scratch;
  check_softmax(scratch, source);
}

TEST_CASE("federate spectrum: a run at kept rounds, its tables, and the same bits for any threads") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "run",
                   {"--set", "federation.keep_rounds=[0,2]", "--set", "model.name=logistic", "--quiet"})
              .code == 0);
  const Arguments wanted{"--at",   "0,2,5",    "--clients",   "2",          "--samples",
                         "3,20",   "--layers", "fc",          "--operator", "hessian,gauss_newton,factors",
                         "--span", "--quiet",  "--tolerance", "0.05"};
  REQUIRE(measured(scratch, (scratch.path / "run").string(), wanted).code == 0);
  const fs::path out = scratch.path / "out";
  const std::string text = read(out / "spectrum.csv");
  const auto table = loru::io::read_csv(out / "spectrum.csv");
  CHECK(lines(text)[0] ==
        "round,who,client,samples,operator,layer,norm,norm_residual,frobenius2,frobenius2_error,trace,stable_"
        "rank,"
        "stable_rank_error,effective_rank,entropy_rank,outliers,gradients");
  REQUIRE(table.rows.size() == 3 * 3 * 2 * 2 * 3);  // rounds, operators, layers, numbers of samples, who
  CHECK(table.text(0, "who") == "server");
  CHECK(table.number<Index>(0, "samples") == 6);
  CHECK(table.text(1, "client") == "0");
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    CAPTURE(i);
    CHECK(*table.number(i, "stable_rank") >= 1.0 - 1e-6);
    CHECK(*table.number(i, "stable_rank_error") <= 0.05 * *table.number(i, "stable_rank"));
    CHECK(*table.number(i, "gradients") > 0.0);
  }
  CHECK(lines(read(out / "summary.md")).size() == 4 + 3 * 3 * 2 * 2);
  const auto span = loru::io::read_csv(out / "span.csv");
  CHECK(span.rows.size() == table.rows.size());
  CHECK(*span.number(0, "participation") >= 1.0);
  const auto density = loru::io::read_csv(out / "density.csv");
  double weight = 0.0;
  for (std::size_t i = 0; i < density.rows.size() && density.text(i, "who") == "server"; ++i)
    weight += *density.number(i, "weight");
  CHECK(weight == Approx(1.0).epsilon(1e-6));

  fs::remove_all(out);
  Arguments serial = wanted;
  serial.insert(serial.end(), {"--threads", "1"});
  Arguments first{"spectrum", (scratch.path / "run").string(), "--out", out.string()};
  first.insert(first.end(), serial.begin(), serial.end());
  REQUIRE(federate(scratch.path, first).code == 0);
  CHECK(read(out / "spectrum.csv") == text);
}

TEST_CASE("federate spectrum: an interrupted measurement goes on where it was") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const std::string config = (scratch.path / "tiny.toml").string();
  const Arguments wanted{"--clients", "3", "--tolerance", "0.05", "--quiet", "--set", "model.name=logistic"};
  REQUIRE(measured(scratch, config, wanted).code == 0);
  const fs::path table = scratch.path / "out" / "spectrum.csv";
  const std::string whole = read(table), density = read(scratch.path / "out" / "density.csv");
  const auto rows = lines(whole);
  REQUIRE(rows.size() == 5);

  // As a killed process leaves it: two points, the density of a third, whose number would give it away.
  write(table, rows[0] + '\n' + rows[1] + '\n' + lines(whole)[2] + '\n');
  std::string marked = rows[1];
  marked.replace(marked.find(",hessian,,") + 10, 1, "9");
  write(table, rows[0] + '\n' + marked + '\n' + rows[2] + '\n');
  REQUIRE(measured(scratch, config, wanted).code == 0);
  const auto again = lines(read(table));
  CHECK(again[1] == marked);  // kept, not measured again
  CHECK(std::vector(again.begin() + 2, again.end()) == std::vector(rows.begin() + 2, rows.end()));
  CHECK(lines(read(scratch.path / "out" / "density.csv")).size() == lines(density).size());

  // As a full disk leaves it: the last row is cut off.
  write(table, whole.substr(0, whole.size() - 2));
  REQUIRE(measured(scratch, config, wanted).code == 0);
  CHECK(read(table) == whole);

  // Another configuration begins anew.
  REQUIRE(measured(scratch, config,
                   {"--clients", "3", "--tolerance", "0.04", "--quiet", "--set", "model.name=logistic"})
              .code == 0);
  CHECK(lines(read(table))[1] != marked);
}

TEST_CASE("federate spectrum: rounds and numbers of samples are added to what is there") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "run",
                   {"--set", "federation.keep_rounds=[0,2]", "--set", "model.name=logistic", "--set",
                    "partition.kind=quantity", "--quiet"})
              .code == 0);
  const std::string run = (scratch.path / "run").string();
  const auto with = [&](Arguments more) {
    more.insert(more.end(), {"--clients", "2", "--tolerance", "0.05", "--quiet"});
    REQUIRE(measured(scratch, run, more).code == 0);
    return loru::io::read_csv(scratch.path / "out" / "spectrum.csv");
  };
  const auto first = with({"--at", "2"});
  REQUIRE(first.rows.size() == 3);
  CHECK(first.text(1, "samples") != first.text(2, "samples"));
  const auto both = with({"--at", "0,2"});
  REQUIRE(both.rows.size() == 6);
  CHECK(both.rows[1] == first.rows[1]);
  CHECK(lines(read(scratch.path / "out" / "spectrum.toml")).back().starts_with("2 = \""));

  // One of the clients has so many samples: its row is there, and counts among the new ones too.
  const std::string least =
      std::to_string(std::min(*first.number<Index>(1, "samples"), *first.number<Index>(2, "samples")));
  CHECK(with({"--at", "2", "--samples", least}).rows.size() == 8);
  const std::string summary = read(scratch.path / "out" / "summary.md");
  fs::remove_all(scratch.path / "out");
  CHECK(with({"--at", "2", "--samples", least}).rows.size() == 3);
  CHECK(read(scratch.path / "out" / "summary.md") == summary);
}

TEST_CASE("federate spectrum: the last round of a run that was as good as wanted, and of a warm-up") {
  const Scratch scratch;
  REQUIRE(run_tiny(scratch.path, "early",
                   {"--set", "federation.stop_at=0.01", "--set", "model.name=logistic", "--quiet"})
              .code == 0);
  const auto measured_rounds = [&](const std::string& run, Arguments more) {
    more.insert(more.end(), {"--clients", "1", "--samples", "5", "--tolerance", "0.05", "--quiet"});
    REQUIRE(measured(scratch, (scratch.path / run).string(), more).code == 0);
    const auto table = loru::io::read_csv(scratch.path / "out" / "spectrum.csv");
    std::string rounds;
    for (std::size_t i = 0; i < table.rows.size(); i += 2) rounds += table.text(i, "round") + ' ';
    return rounds;
  };
  CHECK(measured_rounds("early", {}) == "2 ");  // the first that is evaluated
  REQUIRE(run_tiny(scratch.path, "warm",
                   {"--set", "federation.keep_rounds=[0,2,3]", "--set", "federation.warmup_rounds=2", "--set",
                    "model.name=logistic", "--quiet"})
              .code == 0);
  CHECK(measured_rounds("warm", {"--at", "0,2,3,5"}) == "0 2 3 5 ");
}

TEST_CASE("federate spectrum: BatchNorm on frozen statistics, a Hessian that is zero, one that overflows") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const std::string config = (scratch.path / "tiny.toml").string();
  const Arguments few{"--clients", "1", "--samples", "5", "--tolerance", "0.05", "--quiet"};
  const auto with = [&](Arguments more) {
    more.insert(more.end(), few.begin(), few.end());
    return measured(scratch, config, more);
  };
  CHECK(with({"--set", "model.name=resnet10", "--set", "model.narrow=16", "--set",
              "lowrank.layers=['layer4*']", "--set", "data.shape=[1,8,8]"})
            .code == 0);
  CHECK(with({"--set", "model.name=logistic", "--operator", "residual"}).code == 0);
  CHECK(read(scratch.path / "out" / "summary.md").find("nan") == std::string::npos);
  const Result result = with({"--set", "model.name=logistic", "--set", "model.init=zero", "--set",
                              "algorithm.name=fedavg", "--set", "data.separation=1e30"});
  CHECK(result.code == 1);
  check_one_line(result);
  CHECK(result.err.find("round 0 hessian server, 5 samples: ") != std::string::npos);
}

TEST_CASE("federate spectrum: Ctrl-C ends it between two products") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const Process process(scratch.path, {"spectrum", (scratch.path / "tiny.toml").string(), "--out",
                                       (scratch.path / "out").string(), "--tolerance", "1e-9", "--set",
                                       "data.train_samples=24000", "--threads", "1"});
  for (int i = 0; i < 3000 && !fs::exists(scratch.path / "out" / "spectrum.toml"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  process.signal(SIGINT);
  const Result result = process.wait();
  CHECK(result.code == 130);
  check_one_line(result);
  CHECK(result.err.find("stopped after 0 of 13 points") != std::string::npos);
}

TEST_CASE("federate spectrum: one process a folder, and no run's own folder") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet"}).code == 0);
  const std::string run = (scratch.path / "run").string();
  const Result own = federate(scratch.path, {"spectrum", run, "--out", run});
  CHECK(own.code == 2);
  check_one_line(own);
  CHECK(own.err.find("--out: expected another folder than a run's own, got " + run) != std::string::npos);
  const HeldFolder held(scratch.path / "out");
  const Result result = measured(scratch, run);
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.find("spectrum: " + (scratch.path / "out").string() + " is in use by process 4711") !=
        std::string::npos);
}

TEST_CASE("federate spectrum: what it cannot do is one line and exit code 2") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const std::string config = (scratch.path / "tiny.toml").string();
  REQUIRE(run_tiny(scratch.path, "run", {"--set", "federation.keep_rounds=[2]", "--quiet"}).code == 0);
  const std::string run = (scratch.path / "run").string();
  const auto refused = [&](const std::string& source, const Arguments& more, const std::string& expected) {
    const Result result = measured(scratch, source, more);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(result.err.find(expected) != std::string::npos);
    CHECK(!fs::exists(scratch.path / "out"));
  };
  refused(config, {"--samples", "21"}, "--samples: expected 1 to 20, the samples of client 0, got 21");
  refused(config, {"--samples", "0"}, "--samples: expected 1 to");
  refused(config, {"--clients", "13"}, "--clients: expected 0 to 12");
  refused(config, {"--clients", "-1"}, "--clients: expected 0 to 12");
  refused(config, {"--samples", "5,5"}, "--samples: expected different ones, got 5 twice");
  refused(config, {"--tolerance", "0"}, "--tolerance: expected above 0, got 0");
  refused(config, {"--tolerance", "nan"}, "--tolerance: expected above 0, got nan");
  refused(config, {"--clients", "0", "--samples", "3"}, "--samples: expected clients");
  refused(config, {"--operator", "hesian"}, "unknown name 'hesian', nearest is 'hessian'");
  refused(config, {"--layers", "fc9"}, "unknown layer 'fc9'");
  refused(config, {"--at", "3"}, "--at: expected 0 for a configuration, got 3");
  refused(run, {"--at", "3"}, "round 3 was not kept");
  refused(run, {"--at", "2,2"}, "got 2 twice");
  refused(config, {"--set", "algorithm.name=fedavg", "--operator", "factors"}, "expected layers W + s·B·A");
  refused(config, {"--tolerance", "inf"}, "--tolerance: expected above 0, got inf");
  refused(run, {"--set", "lowrank.rank=2"}, "spectrum: lowrank.rank: the run has 4, got 2");
  refused(run, {"--seed", "5"}, "spectrum: seed: the run has ");
  refused(run, {"--set", "partition.kind=dirichlet"}, "spectrum: partition.");
  refused(run, {"--set", "data.validation=0.5"}, "spectrum: data.validation: the run has 0.0, got 0.5");
  refused(config,
          {"--batch-statistics", "--set", "model.name=resnet10", "--set", "model.narrow=16", "--set",
           "lowrank.layers=['layer4*']", "--set", "data.shape=[1,8,8]"},
          "frozen statistics");
  refused((scratch.path / "nothing.toml").string(), {}, "nothing.toml");
}
