// federate --compare: several federations side by side.
#include <loru/io/csv.hpp>

#include "program.hpp"

using namespace loru_test;

namespace {

/// The tiny federation with lines replaced.
std::string tiny_with(const std::string& line, const std::string& by) {
  std::string text = tiny;
  const std::size_t at = text.find(line);
  REQUIRE(at != std::string::npos);
  return text.replace(at, line.size(), by);
}

Arguments compare(const Scratch& scratch, const std::vector<std::string>& names, const Arguments& more = {}) {
  Arguments arguments{"--compare"};
  for (const std::string& name : names) arguments.push_back((scratch.path / name).string());
  arguments.insert(arguments.end(), {"--out", (scratch.path / "out").string()});
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("compare: every configuration with every seed, in one table") {
  const Scratch scratch;
  write(scratch.path / "lora.toml", tiny_with("\"fedloru\"", "\"fedlora\""));
  write(scratch.path / "avg.toml", tiny_with("\"fedloru\"", "\"fedavg\""));
  const Arguments arguments =
      compare(scratch, {"lora.toml", "avg.toml"}, {"--seeds", "3,8", "--budgets", "0.15,3"});
  const Result result = federate(scratch.path, arguments);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const fs::path out = scratch.path / "out";
  CHECK(names_in(out) == std::vector<std::string>{"avg", "compare.csv", "compare.md", "lora", "runs.csv"});
  CHECK(result.out.ends_with(read(out / "compare.md")));

  // A run of a comparison is the run that the configuration gives alone.
  REQUIRE(federate(scratch.path, {(scratch.path / "lora.toml").string(), "--seed", "8", "--out",
                                  (scratch.path / "alone").string()})
              .code == 0);
  const auto alone = summary(scratch.path / "alone"), other = summary(out / "lora" / "seed-3");
  CHECK(summary(out / "lora" / "seed-8").at("model_sha256") == alone.at("model_sha256"));

  const loru::io::CsvTable table = loru::io::read_csv(out / "compare.csv");
  REQUIRE(table.rows.size() == 2);
  CHECK(table.text(0, "name") == "lora");
  CHECK(table.text(1, "algorithm") == "fedavg");
  const double first = other.at("final_test_accuracy"), second = alone.at("final_test_accuracy");
  CHECK(table.number(0, "accuracy") == (first + second) / 2);
  CHECK(table.number(0, "accuracy_deviation").value() == Approx(std::abs(first - second) / std::sqrt(2.0)));
  CHECK(table.number(0, "uplink_bytes").value() ==
        Approx((other.at("uplink_bytes").get<double>() + alone.at("uplink_bytes").get<double>()) / 2));
  CHECK(table.number(0, "aggregation_error.fc2").value() > 0.0);
  CHECK(table.text(1, "aggregation_error.fc2").empty());
  CHECK(table.number(0, "update_rank.fc2") == 4.0);

  // Accuracy at a budget is that of the last round evaluated within it.
  const loru::io::CsvTable rounds = loru::io::read_csv(out / "avg" / "seed-3" / "rounds.csv");
  const loru::io::CsvTable runs = loru::io::read_csv(out / "runs.csv");
  REQUIRE(runs.rows.size() == 4);
  double sent = 0.0;
  std::optional<double> within;
  for (std::size_t r = 0; r < rounds.rows.size(); ++r) {
    sent += *rounds.number(r, "uplink_bytes");
    if (sent <= 3e6 && rounds.number(r, "test_accuracy")) within = rounds.number(r, "test_accuracy");
  }
  CHECK(sent > 3e6);
  CHECK(within.has_value());
  CHECK(runs.number(2, "accuracy_at_3_MB") == within);
  CHECK(runs.text(2, "accuracy_at_0.15_MB").empty());
}

TEST_CASE("A configuration may stand over another one") {
  const Scratch scratch;
  write(scratch.path / "common" / "tiny.toml", tiny);
  write(scratch.path / "over.toml", "base = \"common/tiny.toml\"\nseed = 9\n[lowrank]\nrank = 3\n");
  write(scratch.path / "top.toml", "base = \"over.toml\"\n[algorithm]\ntau = 4\n");
  const auto hash = [&](const Arguments& arguments) {
    Arguments all = arguments;
    all.insert(all.end(), {"--quiet", "--out", (scratch.path / "out").string()});
    const Result result = federate(scratch.path, all);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return summary(scratch.path / "out").at("model_sha256");
  };
  const auto plain = hash({(scratch.path / "common" / "tiny.toml").string(), "--set", "seed=9", "--set",
                           "lowrank.rank=3", "--set", "algorithm.tau=4"});
  CHECK(hash({(scratch.path / "top.toml").string()}) == plain);
  CHECK(hash({(scratch.path / "out" / "config.toml").string()}) == plain);
  CHECK(hash({(scratch.path / "over.toml").string()}) != plain);

  const auto refused = [&](const std::string& text) {
    write(scratch.path / "bad.toml", text);
    const Result result = federate(scratch.path, {(scratch.path / "bad.toml").string()});
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK_THAT(refused("base = 3\n"),
             ContainsSubstring("bad.toml:1: base: expected the name of a file, got integer"));
  CHECK_THAT(refused("base = \"bad.toml\"\n"), ContainsSubstring("base: expected at most 8 files"));
  CHECK_THAT(refused("base = \"none.toml\"\n"), ContainsSubstring("none.toml"));
  CHECK_THAT(refused("base = \"over.toml\"\n[lowrank]\nrang = 3\n"),
             ContainsSubstring("bad.toml:3: unknown key 'lowrank.rang'"));
}

TEST_CASE("compare: finished runs stay, others are run") {
  const Scratch scratch;
  write(scratch.path / "a.toml", tiny);
  REQUIRE(federate(scratch.path, compare(scratch, {"a.toml"})).code == 0);
  const fs::path run = scratch.path / "out" / "a" / "seed-7";
  const auto written = fs::last_write_time(run / "summary.json");
  REQUIRE(federate(scratch.path, compare(scratch, {"a.toml"})).code == 0);
  CHECK(fs::last_write_time(run / "summary.json") == written);
  REQUIRE(federate(scratch.path, compare(scratch, {"a.toml"}, {"--set", "lowrank.rank=3"})).code == 0);
  CHECK(fs::last_write_time(run / "summary.json") > written);
}

TEST_CASE("compare: refuses what is not comparable") {
  const Scratch scratch;
  write(scratch.path / "a.toml", tiny);
  write(scratch.path / "b.toml", tiny_with("cohort = 4", "cohort = 5"));
  write(scratch.path / "sub" / "a.toml", tiny);
  const auto refused = [&](const Arguments& arguments) {
    const Result result = federate(scratch.path, arguments);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK_THAT(refused(compare(scratch, {"a.toml", "b.toml"})),
             ContainsSubstring("b.toml: federation.cohort: expected 4 as in ") && ContainsSubstring("got 5"));
  CHECK_THAT(refused(compare(scratch, {"a.toml", "sub/a.toml"})),
             ContainsSubstring("compare: expected configurations of different names, got a twice"));
  write(scratch.path / "c.toml", "seed = 8\n" + tiny_with("seed = 7", ""));
  CHECK_THAT(refused(compare(scratch, {"a.toml", "c.toml"})),
             ContainsSubstring("c.toml: seed: expected 7 as in ") && ContainsSubstring("got 8"));
  CHECK_THAT(refused(compare(scratch, {"a.toml"}, {"--seeds", "3,1,3"})),
             ContainsSubstring("compare: seeds: expected different ones, got 3 twice"));
  CHECK_THAT(refused({(scratch.path / "a.toml").string(), "--compare", (scratch.path / "a.toml").string()}),
             ContainsSubstring("excludes"));
  CHECK_THAT(refused({(scratch.path / "a.toml").string(), "--seeds", "1"}), ContainsSubstring("--compare"));
  CHECK(!fs::exists(scratch.path / "out"));
}

TEST_CASE("compare: a run that diverges is a row, and the others go on") {
  const Scratch scratch;
  write(scratch.path / "hot.toml",
        tiny_with("\"fedloru\"", "\"fedhm\"") + "\n[optimizer]\nlearning_rate = 1000\n");
  write(scratch.path / "lora.toml", tiny_with("\"fedloru\"", "\"fedlora\""));
  const Result result =
      federate(scratch.path, compare(scratch, {"hot.toml", "lora.toml"}, {"--seeds", "1,2"}));
  CAPTURE(result.err);
  CHECK(result.code == 1);
  const loru::io::CsvTable runs = loru::io::read_csv(scratch.path / "out" / "runs.csv");
  REQUIRE(runs.rows.size() == 4);
  CHECK(runs.number(0, "rounds").value() < 5.0);
  CHECK(runs.number(3, "rounds").value() == 5.0);
  CHECK(runs.number(0, "diverged") == 1.0);
  CHECK(runs.number(3, "diverged") == 0.0);

  // Where it stopped is in no mean.
  const loru::io::CsvTable table = loru::io::read_csv(scratch.path / "out" / "compare.csv");
  CHECK(table.number(0, "diverged") == 2.0);
  CHECK(table.text(0, "accuracy").empty());
  CHECK(table.text(0, "uplink_bytes").empty());
  CHECK(table.number(1, "diverged") == 0.0);
  CHECK(table.number(1, "accuracy").has_value());
  CHECK_THAT(result.out, ContainsSubstring("2 (2 diverged)"));
}
