// Checkpoints: a run that was stopped goes on, and is the run that was never stopped.

#include <sys/stat.h>

#include <loru/io/csv.hpp>
#include <loru/io/safetensors.hpp>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

struct Kind {
  std::string name;
  Arguments set;
};

/// What a run may have to remember between its rounds.
const std::vector<Kind> kinds{
    {"fedloru", {}},
    {"hetlora",
     {"algorithm.name=hetlora", "algorithm.gamma=0.5", "algorithm.lambda=0.1", "ranks.rule=fixed",
      "ranks.values=[2, 4]"}},
    {"scaffold", {"algorithm.name=scaffold", "federation.keep_best=true"}},  // the best is of round 4 of 5
    {"pfedloru", {"algorithm.name=pfedloru", "federation.client_state=disk", "federation.keep_best=true"}},
    {"fedadam",
     {"codec.uplink=top_k", "codec.downlink=top_k", "codec.keep=0.1", "server.optimizer=fedadam",
      "server.learning_rate=0.01"}},
    {"warm-up",
     {"federation.warmup_rounds=2", "codec.uplink=top_k", "codec.keep=0.1",
      "federation.keep_rounds=[0, 2, 4]", "federation.keep_merges=true"}},
};

Arguments with(Arguments first, const Arguments& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

Arguments as_options(const Arguments& settings) {
  Arguments options;
  for (const std::string& setting : settings) options.insert(options.end(), {"--set", setting});
  return options;
}

/// summary.json without what may differ between two runs that are one.
nlohmann::ordered_json lasting(const fs::path& run) {
  auto json = summary(run);
  for (const char* key : {"wall_seconds", "train_seconds", "peak_rss_bytes", "threads"}) json.erase(key);
  return json;
}

/// rounds.csv without times.
std::vector<std::vector<std::string>> rows(const fs::path& run) {
  auto table = loru::io::read_csv(run / "rounds.csv");
  const std::size_t seconds = table.column("seconds");
  for (auto& row : table.rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(seconds));
  table.rows.push_back(table.columns);
  return table.rows;
}

void check_same_run(const fs::path& got, const fs::path& expected) {
  CHECK(lasting(got) == lasting(expected));
  CHECK(rows(got) == rows(expected));
  for (const char* name : {"model.safetensors", "best.safetensors", "config.toml"})
    CHECK(read(got / name) == read(expected / name));
  for (const char* folder : {"rounds", "merges"}) {
    REQUIRE(names_in(got / folder) == names_in(expected / folder));
    for (const std::string& name : names_in(got / folder))
      CHECK(read(got / folder / name) == read(expected / folder / name));
  }
}

Result resume(const fs::path& scratch, const fs::path& run, const Arguments& more = {}) {
  return federate(scratch, with({"--resume", run.string(), "--quiet"}, more));
}

/// The tiny run as a kill after the checkpoint of a round leaves it: without later checkpoints, and with
/// other files of later rounds.
void kill_after(const fs::path& run, int round) {
  for (const std::string& name : names_in(run / "checkpoint"))
    if (std::stoi(name) > round) fs::remove(run / "checkpoint" / name);
  fs::remove(run / "summary.json");
  fs::remove(run / "model.safetensors");
  fs::remove(run / "clients.csv");
  write(run / "rounds.csv", "half a row");
  for (const char* folder : {"rounds", "merges"})
    if (fs::exists(run / folder)) write(run / folder / "9.safetensors", "a later round's");
  if (fs::exists(run / "best.safetensors")) write(run / "best.safetensors", "a later round's");
  write(run / ".loru-1-0.tmp", "half a file");
  write(run / "checkpoint" / ".loru-1-1.tmp", "half a file");
}

/// The checkpoint with a change and the digest that the program computes: of the bytes with zeros in its
/// place.
template <class F>
void rewrite(const fs::path& scratch, const fs::path& file, F change) {
  auto archive = loru::io::load(file);
  change(archive.metadata());
  archive.metadata()["sha256"] = std::string(64, '0');
  loru::io::save(scratch / "zeros", archive);
  const std::string sum = "sha256sum " + (scratch / "zeros").string() + " > " + (scratch / "sum").string();
  REQUIRE(std::system(sum.c_str()) == 0);
  archive.metadata()["sha256"] = read(scratch / "sum").substr(0, 64);
  loru::io::save(file, archive);
}

/// Waits until a run has so many rows.
void wait_for_rows(const fs::path& run, std::size_t wanted) {
  for (int i = 0; i < 6000 && lines(read(run / "rounds.csv")).size() < wanted + 1; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

}  // namespace

TEST_CASE("resume: every kind of run goes on as if it had not been stopped") {
  const Scratch scratch;
  const Kind& kind = kinds[GENERATE(range(std::size_t{0}, std::size_t{6}))];
  CAPTURE(kind.name);
  const Arguments options = with(as_options(kind.set), {"--quiet"});
  const fs::path whole = scratch.path / "whole", run = scratch.path / "run";
  REQUIRE(run_tiny(scratch.path, "whole", with(options, {"--threads", "2"})).code == 0);
  const Result first = run_tiny(scratch.path, "run", with(options, {"--checkpoint-every", "2"}));
  CAPTURE(first.err);
  REQUIRE(first.code == 0);
  check_same_run(run, whole);  // checkpoints change nothing
  CHECK(names_in(run / "checkpoint") == Arguments{"000004.safetensors", "000005.safetensors"});
  for (const std::string& name : names_in(run / "clients"))
    CHECK(std::count(name.begin(), name.end(), '.') == 2);

  kill_after(run, 4);
  const Result second = resume(scratch.path, run, {"--threads", "1"});
  CAPTURE(second.err);
  REQUIRE(second.code == 0);
  CHECK(second.err.empty());
  check_same_run(run, whole);
  CHECK(names_in(run / "checkpoint") == Arguments{"000004.safetensors", "000005.safetensors"});
  for (const std::string& name : names_in(run)) CHECK_FALSE(name.starts_with(".loru"));
  CHECK_FALSE(fs::exists(run / ".lock"));

  // Without a checkpoint, from the first round.
  kill_after(run, -1);
  REQUIRE(resume(scratch.path, run).code == 0);
  check_same_run(run, whole);
  CHECK(names_in(run / "clients").size() ==
        (kind.name == "pfedloru" ? names_in(whole / "clients").size() : 0));
}

TEST_CASE("resume: a signal writes a checkpoint, from which the run goes on") {
  const Scratch scratch;
  const Arguments options = as_options({"federation.rounds=200", "algorithm.name=scaffold"});
  const fs::path run = scratch.path / "run", whole = scratch.path / "whole";
  REQUIRE(run_tiny(scratch.path, "whole", with(options, {"--quiet"})).code == 0);
  int stops = 0;
  Arguments arguments = with(
      {(scratch.path / "tiny.toml").string(), "--out", run.string(), "--quiet", "--checkpoint-every", "1000"},
      options);
  for (std::size_t wanted = 20;; wanted += 40) {
    const Process process(scratch.path, arguments);
    wait_for_rows(run, wanted);
    fs::remove(scratch.path / "rows");
    fs::create_hard_link(run / "rounds.csv", scratch.path / "rows");
    process.signal(stops % 2 == 0 ? SIGTERM : SIGINT);
    const Result result = process.wait();
    CAPTURE(result.err);
    if (result.code == 0) break;
    REQUIRE(result.code == 130);
    CHECK(fs::hard_link_count(run / "rounds.csv") == 1);  // written as a whole at the end
    const std::string last = names_in(run / "checkpoint").back();
    CHECK(std::stoi(last) == static_cast<int>(lines(read(run / "rounds.csv")).size()) - 1);
    arguments = {"--resume", run.string(), "--quiet"};
    REQUIRE(++stops < 20);
  }
  CHECK(stops >= 2);
  check_same_run(run, whole);
}

TEST_CASE("resume: a run that had stopped with a summary goes on, and goes on again after a kill") {
  const Scratch scratch;
  const Arguments options = as_options({"federation.rounds=200", "algorithm.name=scaffold"});
  const fs::path run = scratch.path / "run", whole = scratch.path / "whole";
  REQUIRE(run_tiny(scratch.path, "whole", with(options, {"--quiet"})).code == 0);
  {
    const Process process(scratch.path, with({(scratch.path / "tiny.toml").string(), "--out", run.string(),
                                              "--quiet", "--checkpoint-every", "10"},
                                             options));
    wait_for_rows(run, 15);
    process.signal(SIGTERM);
    REQUIRE(process.wait().code == 130);
  }
  const std::string rows = read(run / "rounds.csv"), stopped = read(run / "summary.json");
  {
    const Process process(scratch.path, {"--resume", run.string(), "--quiet"});
    wait_for_rows(run, lines(rows).size() + 5);
    process.signal(SIGKILL);
    process.wait();
  }
  for (const char* name : {"summary.json", "model.safetensors", "clients.csv"})
    CHECK_FALSE(fs::exists(run / name));
  write(run / "summary.json", stopped);
  write(run / "rounds.csv", rows + "half,a");
  const Result result = resume(scratch.path, run);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  check_same_run(run, whole);
}

TEST_CASE("resume: a folder is a run only once it has the checkpoint of round 0") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run";
  write(run / "checkpoint", "a file in the way");
  const Result result = run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "10"});
  CHECK(result.code != 0);
  check_one_line(result);
  CHECK_FALSE(fs::exists(run / "config.toml"));
}

TEST_CASE("resume: checkpoints older than two and turns of ranks that are gone") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run", folder = run / "checkpoint";
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "2"}).code == 0);
  const auto turns = [&] { return summary(run)["turns_by_rank"].get<std::vector<int>>(); };
  const int cohort = turns()[0] / 5;
  kill_after(run, 5);
  fs::copy_file(folder / "000004.safetensors", folder / "000002.safetensors");
  rewrite(scratch.path, folder / "000005.safetensors", [](auto& text) {
    auto state = nlohmann::ordered_json::parse(text["run"]);
    state["totals"]["turns_by_rank"] = std::vector<int>{1, 2, 3};
    text["run"] = state.dump();
  });
  REQUIRE(resume(scratch.path, run).code == 0);
  CHECK(names_in(folder) == Arguments{"000004.safetensors", "000005.safetensors"});
  CHECK(turns() == std::vector<int>{1, 2, 3});
  CHECK(summary(run)["ranks"] == 1);

  kill_after(run, 4);
  rewrite(scratch.path, folder / "000004.safetensors", [](auto& text) {
    auto state = nlohmann::ordered_json::parse(text["run"]);
    state["totals"]["turns_by_rank"] = std::vector<int>{1, 2, 3};
    text["run"] = state.dump();
  });
  REQUIRE(resume(scratch.path, run).code == 0);
  CHECK(turns() == std::vector<int>{1 + cohort, 2, 3});
}

TEST_CASE("resume: a whole checkpoint of another format is refused and stays") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run", folder = run / "checkpoint";
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "2"}).code == 0);
  kill_after(run, 5);
  rewrite(scratch.path, folder / "000005.safetensors",
          [](auto& text) { text["format"] = "loru checkpoint 2"; });
  const Result result = resume(scratch.path, run);
  CHECK(result.code == 2);
  CHECK(result.err ==
        "federate: checkpoint/000005.safetensors: metadata 'format': expected 'loru checkpoint 1', got "
        "'loru checkpoint 2'\n");
  for (const char* name : {"000004.safetensors", "000005.safetensors"}) CHECK(fs::exists(folder / name));
}

TEST_CASE("resume: the folder, the configuration and other processes") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run";
  const auto refused = [&](const Arguments& more = {}) {
    const Result result = resume(scratch.path, run, more);
    CHECK(result.code == 2);
    check_one_line(result);
    return result.err;
  };
  CHECK(refused() == "federate: resume: " + run.string() + ": no run (expected config.toml)\n");
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "2"}).code == 0);
  CHECK(refused() == "federate: resume: the run is finished\n");
  kill_after(run, 4);
  CHECK(refused({"--set", "federation.cohort=3"}) ==
        "federate: resume: federation.cohort: the run has 4, got 3\n");
  CHECK(refused({"--seed", "8"}) == "federate: resume: seed: the run has 7, got 8\n");
  CHECK(refused({"--out", "elsewhere"}).find("--resume") != std::string::npos);

  {
    const HeldFolder lock(run);
    CHECK(refused() == "federate: resume: " + run.string() + " is in use by process 4711\n");
    const Result plain = run_tiny(scratch.path, "run", {"--quiet"});
    CHECK(plain.code == 2);
    CHECK(plain.err == "federate: --out: " + run.string() + " is in use by process 4711\n");
  }
  CHECK(fs::exists(run / "config.toml"));
  CHECK(resume(scratch.path, run, {"--data-dir", "/nowhere", "--threads", "3"}).code == 0);
}

TEST_CASE("resume: the data are those that the run began with, wherever they lie") {
  const Scratch scratch;
  const auto write_points = [&](const fs::path& folder, float first) {
    loru::Tensor<float> x({40, 2}), y({40, 1});
    for (loru::Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 7) / 7.0f;
    for (loru::Index i = 0; i < y.size(); ++i) y.data()[i] = x.data()[2 * i];
    x.data()[0] = first;
    loru::io::Archive archive;
    archive.put("x", x);
    archive.put("y", y);
    fs::create_directories(folder);
    loru::io::save(folder / "points.safetensors", archive);
  };
  write_points(scratch.path / "data", 0.0f);
  write_points(scratch.path / "moved", 0.0f);
  write_points(scratch.path / "changed", 0.5f);
  const fs::path run = scratch.path / "run";
  REQUIRE(
      run_tiny(scratch.path, "run",
               with({"--quiet", "--checkpoint-every", "2", "--data-dir", (scratch.path / "data").string()},
                    as_options({"data.name=safetensors", "data.train=points.safetensors",
                                "data.test=points.safetensors", "task.kind=regression"})))
          .code == 0);
  kill_after(run, 4);
  const Result changed = resume(scratch.path, run, {"--data-dir", (scratch.path / "changed").string()});
  CHECK(changed.code == 2);
  check_one_line(changed);
  CHECK(changed.err.starts_with("federate: resume: data: the run has sha256 "));
  CHECK(resume(scratch.path, run, {"--data-dir", (scratch.path / "moved").string()}).code == 0);
}

TEST_CASE("resume: a damaged checkpoint is left for the one before; a flipped bit anywhere is noticed") {
  const Scratch scratch;
  const fs::path whole = scratch.path / "whole", run = scratch.path / "run";
  const Arguments small = as_options({"model.name=logistic", "algorithm.name=fedavg"});
  REQUIRE(run_tiny(scratch.path, "whole", with(small, {"--quiet"})).code == 0);
  REQUIRE(run_tiny(scratch.path, "run", with(small, {"--quiet", "--checkpoint-every", "2"})).code == 0);
  const fs::path older = run / "checkpoint" / "000004.safetensors",
                 newest = run / "checkpoint" / "000005.safetensors";
  const std::string good = read(newest);
  kill_after(run, 5);

  std::string bad = good;
  bad[bad.size() - 1] = static_cast<char>(bad.back() ^ 1);
  write(newest, bad);
  const Result second = resume(scratch.path, run);
  CAPTURE(second.err);
  CHECK(second.code == 0);
  CHECK(second.err.starts_with("federate: checkpoint/000005.safetensors: expected sha256 "));
  CHECK(second.err.find(", got ") != std::string::npos);
  CHECK(second.err.ends_with("; going on from round 4\n"));
  check_same_run(run, whole);

  // Both damaged.
  kill_after(run, 5);
  write(newest, bad);
  write(older, "x");
  const Result none = resume(scratch.path, run);
  CHECK(none.code == 2);
  check_one_line(none);
  CHECK(none.err.find("checkpoint/000005.safetensors: expected sha256 ") != std::string::npos);
  CHECK(fs::exists(newest));
  fs::remove(older);

  for (std::size_t block = 0; block < good.size(); block += 64) {
    CAPTURE(block);
    bad = good;
    const std::size_t at = std::min(block + block / 64 % 64, good.size() - 1);
    bad[at] = static_cast<char>(bad[at] ^ (1 << block / 64 % 8));
    write(newest, bad);
    const Result result = resume(scratch.path, run);
    REQUIRE(result.code == 2);
    REQUIRE(result.err.find("checkpoint/000005.safetensors: ") != std::string::npos);
  }
  for (std::size_t length : {std::size_t{0}, std::size_t{7}, std::size_t{300}, good.size() - 1}) {
    write(newest, good.substr(0, length));
    REQUIRE(resume(scratch.path, run).code == 2);
  }
  write(newest, good);
  CHECK(resume(scratch.path, run).code == 0);
  check_same_run(run, whole);
}

TEST_CASE("resume: a checkpoint of another build is reported, and the run goes on") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run", file = run / "checkpoint" / "000005.safetensors";
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "2"}).code == 0);
  kill_after(run, 5);
  rewrite(scratch.path, file, [](auto& text) { text["build"] = "loru 0.0.9, gcc 1.0, mmx"; });
  const Result result = resume(scratch.path, run);
  CHECK(result.code == 0);
  check_one_line(result);
  CHECK(
      result.err.find("checkpoint/000005.safetensors: written by loru 0.0.9, gcc 1.0, mmx, this is loru ") !=
      std::string::npos);
}

TEST_CASE(
    "resume: a folder of checkpoints that cannot be listed, and what is no file, end nothing but the "
    "resume") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run", folder = run / "checkpoint";
  REQUIRE(run_tiny(scratch.path, "run",
                   {"--quiet", "--checkpoint-every", "2", "--set", "algorithm.name=scaffold"})
              .code == 0);
  kill_after(run, 5);
  const auto states = names_in(run / "clients");
  REQUIRE_FALSE(states.empty());
  const auto refused = [&] {
    const Result result = resume(scratch.path, run);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(names_in(run / "clients") == states);
    CHECK(fs::exists(run / "config.toml"));
    return result.err;
  };
  fs::rename(folder, run / "aside");
  write(folder, "a file in the way");
  CHECK(refused() == "federate: " + folder.string() + ": cannot list: Not a directory\n");
  // A run that begins anew lists first, too.
  const Result anew = run_tiny(scratch.path, "run", {"--quiet"});
  CHECK(anew.code == 2);
  CHECK(names_in(run / "clients") == states);
  CHECK(fs::exists(run / "config.toml"));
  fs::remove(folder);
  fs::rename(run / "aside", folder);

  const fs::path odd = folder / "000009.safetensors";
  REQUIRE(::mkfifo(odd.c_str(), 0600) == 0);
  CHECK(refused() == "federate: checkpoint/000009.safetensors: expected a regular file\n");
  fs::remove(odd);
  fs::create_directories(odd);
  CHECK(refused() == "federate: checkpoint/000009.safetensors: expected a regular file\n");
  fs::remove(odd);
  CHECK(resume(scratch.path, run).code == 0);
}

TEST_CASE("resume: a whole checkpoint of another configuration or round is refused, and nothing is removed") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run", folder = run / "checkpoint";
  REQUIRE(run_tiny(scratch.path, "other", {"--quiet", "--checkpoint-every", "2", "--set", "client.batch=4"})
              .code == 0);
  REQUIRE(run_tiny(scratch.path, "run", {"--quiet", "--checkpoint-every", "2"}).code == 0);
  kill_after(run, 5);
  fs::copy_file(folder / "000004.safetensors", folder / "000002.safetensors");
  const std::string older = read(folder / "000004.safetensors"), newest = read(folder / "000005.safetensors");
  const auto refused = [&] {
    const auto before = names_in(folder);
    const Result result = resume(scratch.path, run);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(names_in(folder) == before);
    return result.err;
  };
  fs::copy_file(scratch.path / "other" / "checkpoint" / "000005.safetensors", folder / "000005.safetensors",
                fs::copy_options::overwrite_existing);
  CHECK(refused().starts_with(
      "federate: resume: checkpoint/000005.safetensors: expected the configuration with sha256 "));
  write(folder / "000005.safetensors", newest);
  fs::copy_file(folder / "000005.safetensors", folder / "000007.safetensors");
  CHECK(refused() == "federate: checkpoint/000007.safetensors: expected round 7 by its name, got 5\n");
  fs::remove(folder / "000007.safetensors");
  // A damaged newest one stays if the one before it is refused.
  fs::remove(folder / "000002.safetensors");
  write(folder / "000005.safetensors", newest.substr(0, newest.size() - 1));
  rewrite(scratch.path, folder / "000004.safetensors",
          [](auto& text) { text["configuration"] = std::string(64, '7'); });
  CHECK(refused().starts_with("federate: resume: checkpoint/000004.safetensors: expected the configuration"));
  write(folder / "000004.safetensors", older);
  const Result result = resume(scratch.path, run);
  CHECK(result.code == 0);
  CHECK(result.err.ends_with("; going on from round 4\n"));
  CHECK(names_in(folder) == Arguments{"000004.safetensors", "000005.safetensors"});
}

TEST_CASE("resume: a run that a signal stopped without a checkpoint keeps what it wrote") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run";
  write(scratch.path / "tiny.toml", tiny);
  {
    const Process process(scratch.path,
                          with({(scratch.path / "tiny.toml").string(), "--out", run.string(), "--quiet"},
                               as_options({"federation.rounds=100000"})));
    wait_for_rows(run, 3);
    process.signal(SIGTERM);
    REQUIRE(process.wait().code == 130);
  }
  const std::string model = read(run / "model.safetensors"), rows = read(run / "rounds.csv");
  const Result result = resume(scratch.path, run);
  CHECK(result.code == 2);
  check_one_line(result);
  CHECK(result.err.starts_with("federate: resume: " + run.string() +
                               ": the run was stopped without a checkpoint"));
  CHECK(read(run / "model.safetensors") == model);
  CHECK(read(run / "rounds.csv") == rows);

  // A killed one has no summary. It begins again, and says so.
  fs::remove(run / "summary.json");
  fs::remove(run / "rounds.csv");  // whose rows are to be those of the new run
  const Process process(scratch.path, {"--resume", run.string(), "--quiet"});
  wait_for_rows(run, 3);
  process.signal(SIGINT);
  CHECK(process.wait().err.starts_with("federate: resume: " + run.string() +
                                       ": no checkpoint; beginning at round 1\n"));
}

TEST_CASE("resume: checkpoints turned off, a broken summary, empty names") {
  const Scratch scratch;
  const fs::path whole = scratch.path / "whole", run = scratch.path / "run";
  const Arguments scaffold = as_options({"algorithm.name=scaffold"});
  REQUIRE(run_tiny(scratch.path, "whole", with(scaffold, {"--quiet"})).code == 0);
  REQUIRE(run_tiny(scratch.path, "run", with(scaffold, {"--quiet", "--checkpoint-every", "2"})).code == 0);
  kill_after(run, 4);
  write(run / "summary.json", "{");
  REQUIRE(resume(scratch.path, run, {"--checkpoint-every", "0"}).code == 0);
  CHECK(names_in(run / "checkpoint") == Arguments{"000004.safetensors"});
  check_same_run(run, whole);
  for (const Arguments& command :
       {Arguments{"--resume", ""}, Arguments{(scratch.path / "tiny.toml").string(), "--out", ""}}) {
    const Result result = federate(scratch.path, command);
    CHECK(result.code == 2);
    check_one_line(result);
    CHECK(result.err.find("expected a folder, got ''") != std::string::npos);
  }
}

TEST_CASE("A run in which nothing was trained fails, and says so") {
  const Scratch scratch;
  const Result dropped = run_tiny(scratch.path, "dropped", {"--quiet", "--set", "federation.drop_after=1"});
  CHECK(dropped.code == 1);
  check_one_line(dropped);
  CHECK(dropped.err.find("20 dropped out, 0 were rejected") != std::string::npos);
  CHECK(summary(scratch.path / "dropped")["dropped"] == 20);
  CHECK_FALSE(summary(scratch.path / "dropped").contains("diverged"));
  const Result rejected = run_tiny(scratch.path, "rejected",
                                   {"--quiet", "--set", "federation.diverged=reject", "--set",
                                    "server.max_norm=1e-12", "--set", "federation.rounds=2"});
  CHECK(rejected.code == 1);
  CHECK(summary(scratch.path / "rejected")["rejected"] == 8);
  const auto said = lines(rejected.err);
  REQUIRE(said.size() == 3);
  CHECK(said[0].starts_with("federate: round 1: rejected 4 of 4: round 1, client "));
  CHECK(said[1].starts_with("federate: round 2: rejected 4 of 4: round 2, client "));
  CHECK(said[2].find("0 dropped out, 8 were rejected") != std::string::npos);
}

TEST_CASE("What a launcher has set silences no command but a run that the first process reports") {
  const Scratch scratch;
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
    CAPTURE(variable);
    const std::string size = variable[0] == 'O' ? "OMPI_COMM_WORLD_SIZE" : "PMI_SIZE";
    ::setenv(variable, "1", 1);
    ::setenv(size.c_str(), "4", 1);
    const Result evaluation = federate(scratch.path, {"eval", "nowhere"});
    const Result run = run_tiny(scratch.path, "run", {"--quiet"});
    ::setenv(variable, "0", 1);
    const Result first = run_tiny(scratch.path, "run", {"--quiet"});
    ::unsetenv(variable);
    ::unsetenv(size.c_str());
    CHECK(evaluation.code == 2);
    check_one_line(evaluation);
    CHECK(run.code == 2);
    CHECK(run.err.empty());
    CHECK(first.code == 2);
    check_one_line(first);
  }
}

TEST_CASE("resume: a run that has reached what was wanted, or diverged, is finished") {
  const Scratch scratch;
  const fs::path run = scratch.path / "run";
  REQUIRE(run_tiny(scratch.path, "run",
                   {"--quiet", "--checkpoint-every", "1", "--set", "federation.stop_at=0.01"})
              .code == 0);
  const auto whole = lasting(run);
  CHECK(resume(scratch.path, run).err == "federate: resume: the run is finished\n");
  kill_after(run, 2);
  CHECK(resume(scratch.path, run).code == 0);
  CHECK(lasting(run) == whole);
  REQUIRE(run_tiny(scratch.path, "run",
                   {"--quiet", "--checkpoint-every", "1", "--set", "optimizer.learning_rate=1e9"})
              .code == 1);
  CHECK(resume(scratch.path, run).err == "federate: resume: the run is finished\n");
}

TEST_CASE("resume: sweeps and comparisons go on inside their runs") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const bool compares = GENERATE(false, true);
  const std::string config = (scratch.path / "tiny.toml").string();
  const Arguments what = compares ? Arguments{"--compare", config}
                                  : Arguments{config, "--sweep", "optimizer.learning_rate=0.01,0.02"};
  const auto once = [&](const std::string& out) {
    return federate(scratch.path,
                    with(what, {"--out", (scratch.path / out).string(), "--checkpoint-every", "2"}));
  };
  REQUIRE(once("whole").code == 0);
  REQUIRE(once("run").code == 0);
  const fs::path inside = compares ? "tiny/seed-7" : "optimizer.learning_rate=0.01/seed-7";
  const fs::path run = scratch.path / "run" / inside;
  kill_after(run, 4);
  const Result again = once("run");
  CAPTURE(again.err, again.out);
  REQUIRE(again.code == 0);
  CHECK(again.out.find("going on from round 4") != std::string::npos);
  check_same_run(run, scratch.path / "whole" / inside);

  // Damaged ones are named with their run.
  kill_after(run, 5);
  for (const std::string& name : names_in(run / "checkpoint")) write(run / "checkpoint" / name, "x");
  const Result damaged = once("run");
  CHECK(damaged.code == 2);
  check_one_line(damaged);
  CHECK(damaged.err.starts_with("federate: " + (run / "checkpoint").string() + "/000005.safetensors: "));
}
