// federate ls: the runs in folders, of every state, and folders that are no runs.

#include <loru/io/csv.hpp>

#include "federate/program.hpp"

using namespace loru_test;
using nlohmann::ordered_json;

namespace {

Result list(const Scratch& scratch, const Arguments& more = {}) {
  Arguments arguments{"ls"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const Result result = federate(scratch.path, arguments);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.err.empty());
  return result;
}

ordered_json listed(const Scratch& scratch, const fs::path& folder) {
  return ordered_json::parse(list(scratch, {folder.string(), "--json"}).out);
}

/// The one run of a list in this folder.
ordered_json in_folder(const ordered_json& runs, const fs::path& folder) {
  ordered_json found;
  for (const auto& run : runs)
    if (run["folder"] == folder.string()) {
      CHECK(found.is_null());
      found = run;
    }
  REQUIRE(!found.is_null());
  return found;
}

/// A copy of a run that one test case makes.
fs::path copy_of(const fs::path& run, const std::string& name) {
  const fs::path copy = run.parent_path() / name;
  fs::copy(run, copy, fs::copy_options::recursive);
  return copy;
}

double sum_of(const fs::path& run, const char* column) {
  const auto rounds = loru::io::read_csv(run / "rounds.csv");
  double sum = 0.0;
  for (std::size_t i = 0; i < rounds.rows.size(); ++i) sum += rounds.number(i, column).value();
  return sum;
}

}  // namespace

TEST_CASE("ls: a run of every state, with its figures") {
  const Scratch scratch;
  const fs::path runs = scratch.path / "runs", whole = runs / "whole";
  REQUIRE(run_tiny(scratch.path, "runs/whole", {"--checkpoint-every", "2", "--quiet"}).code == 0);

  const fs::path killed = copy_of(whole, "killed");
  fs::remove(killed / "summary.json");
  fs::remove(killed / "checkpoint" / "000005.safetensors");
  const std::string rows = read(killed / "rounds.csv");
  write(killed / "rounds.csv", rows.substr(0, rows.rfind('\n', rows.size() - 2) + 4));  // a row half-written

  const fs::path stopped = copy_of(whole, "stopped");  // by Ctrl-C, without checkpoints
  auto changed = summary(stopped);
  changed["rounds"] = 3;
  write(stopped / "summary.json", changed.dump());
  fs::remove_all(stopped / "checkpoint");

  const fs::path good = copy_of(whole, "good");
  changed["stopped_after"] = 3;
  write(good / "summary.json", changed.dump());

  const Result failed = run_tiny(scratch.path, "runs/diverged", {"--set", "optimizer.learning_rate=1e30"});
  REQUIRE(failed.code == 1);

  const fs::path held = copy_of(killed, "held");
  write(runs / "starting" / "rounds.csv", "round,coh");  // before its configuration is written
  write(killed / ".lock", "4711\n");                     // nobody holds it

  const auto all = [&] {
    const HeldFolder lock(held), other(runs / "starting");
    return listed(scratch, runs);
  }();
  REQUIRE(all.size() == 7);
  for (std::size_t i = 1; i < all.size(); ++i)
    CHECK(all[i - 1]["folder"].get<std::string>() < all[i]["folder"].get<std::string>());

  const auto end = summary(whole);
  const auto first = in_folder(all, whole);
  CHECK(first["algorithm"] == "fedloru");
  CHECK(first["model"] == "mlp");
  CHECK(first["dataset"] == "synthetic");
  CHECK(first["seed"] == 7);
  CHECK(first["rounds"] == 5);
  CHECK(first["rounds_wanted"] == 5);
  CHECK(first["metric"] == "accuracy");
  CHECK(first["value"] == end["final_test_accuracy"]);
  CHECK(first["test_loss"] == end["final_test_loss"]);
  CHECK(first["uplink_bytes"] == end["uplink_bytes"]);
  CHECK(first["seconds"].get<double>() == Approx(sum_of(whole, "seconds")));
  CHECK(first["state"] == "finished");
  CHECK(first["remark"] == "");
  CHECK(first["checkpoint"].is_null());

  const auto third = in_folder(all, killed);
  CHECK(third["state"] == "interrupted");
  CHECK(third["checkpoint"] == 4);
  CHECK(third["remark"] == "checkpoint of round 4");
  CHECK(third["rounds"] == 4);
  const auto evaluated = loru::io::read_csv(whole / "rounds.csv");
  CHECK(third["value"] == evaluated.number(3, "test_accuracy").value());
  CHECK(third["test_loss"] == evaluated.number(3, "test_loss").value());

  CHECK(in_folder(all, stopped)["state"] == "interrupted");
  CHECK(in_folder(all, stopped)["remark"] == "no checkpoint");
  CHECK(in_folder(all, good)["state"] == "finished");
  CHECK(in_folder(all, good)["remark"] == "as good as wanted");
  CHECK(in_folder(all, runs / "diverged")["state"] == "diverged");
  CHECK(in_folder(all, runs / "diverged")["remark"] == "in round 1");
  CHECK(in_folder(all, runs / "diverged")["rounds"] == 0);
  CHECK(in_folder(all, held)["state"] == "running");
  CHECK(in_folder(all, held)["remark"] == "process 4711");
  CHECK(in_folder(all, held)["rounds"] == 4);
  CHECK(in_folder(all, runs / "starting")["state"] == "running");
  CHECK(in_folder(all, runs / "starting")["algorithm"] == "");

  CHECK(in_folder(listed(scratch, runs), held)["state"] == "interrupted");
  const auto left = in_folder(listed(scratch, runs), runs / "starting");
  CHECK(left["state"] == "broken");
  CHECK(left["remark"] == "expected config.toml, found none");
}

TEST_CASE("ls: a process that runs, seen while it runs") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  fs::create_directories(scratch.path / "ran");
  const fs::path run = scratch.path / "runs" / "long";
  const Process process(scratch.path / "ran", {(scratch.path / "tiny.toml").string(), "--set",
                                               "federation.rounds=100000", "--out", run.string()});
  for (int tries = 0; tries < 3000 && !fs::exists(run / "config.toml"); ++tries)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  const auto seen = listed(scratch, scratch.path / "runs");
  process.signal(SIGKILL);
  CHECK(process.wait().code == 1000 + SIGKILL);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0]["state"] == "running");
  CHECK(seen[0]["rounds_wanted"] == 100000);
  CHECK(listed(scratch, scratch.path / "runs")[0]["state"] == "interrupted");
}

TEST_CASE("ls: the forms, and the order of names") {
  const Scratch scratch;
  const fs::path runs = scratch.path / "runs";
  REQUIRE(run_tiny(scratch.path, "runs/sweep/rank=4/seed-2", {"--quiet"}).code == 0);
  fs::copy(runs / "sweep/rank=4/seed-2", runs / "sweep/rank=4/seed-10", fs::copy_options::recursive);
  fs::copy(runs / "sweep/rank=4/seed-2", runs / "alone", fs::copy_options::recursive);
  fs::create_directory_symlink(runs / "alone", runs / "link");  // is not followed
  write(runs / "sweep" / "runs.csv", "seed\n2\n");              // of the sweep, which is no run itself
  const std::string sweep = (runs / "sweep").string();

  const std::string table = list(scratch, {runs.string()}).out;
  const auto text = lines(table);
  REQUIRE(text.size() == 5);
  CHECK(text[0].starts_with("| run "));
  CHECK(text[2].starts_with("| " + (runs / "alone").string() + " "));
  CHECK(text[3].starts_with("| " + sweep + "/rank=4/seed-2 "));
  CHECK(text[4].starts_with("| " + sweep + "/rank=4/seed-10 "));
  for (const char* cell : {"| fedloru ", "| mlp ", "| synthetic ", "| 5 of 5 ", "| accuracy ", "| finished "})
    CHECK(text[2].find(cell) != std::string::npos);

  const std::string csv = list(scratch, {runs.string(), "--csv"}).out;
  const auto rows = loru::io::parse_csv(csv);
  REQUIRE(rows.rows.size() == 3);
  const auto json = listed(scratch, runs);
  REQUIRE(json.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(rows.columns.size() == json[i].size());
    for (const auto& [name, value] : json[i].items())
      if (value.is_number())
        CHECK(rows.number(i, name).value() == value.get<double>());
      else
        CHECK(rows.text(i, name) == (value.is_null() ? "" : value.get<std::string>()));
  }

  // A folder may be given twice, and be a run itself.
  CHECK(list(scratch, {(runs / "alone").string(), runs.string(), "--csv"}).out == csv);
  CHECK(listed(scratch, runs / "alone").size() == 1);
  write(scratch.path / "nothing" / "file.txt", "");
  CHECK(list(scratch, {(scratch.path / "nothing").string()}).out == "no runs\n");
  CHECK(list(scratch, {(scratch.path / "nothing").string(), "--json"}).out == "[]\n");
}

TEST_CASE("ls: a language model is listed by its perplexity") {
  const Scratch scratch;
  const fs::path run = scratch.path / "runs" / "text";
  REQUIRE(run_tiny(scratch.path, "runs/text", {"--quiet"}).code == 0);
  std::string config = read(run / "config.toml");
  const std::string kind = "kind = 'classification'";
  REQUIRE(config.find(kind) != std::string::npos);
  write(run / "config.toml", config.replace(config.find(kind), kind.size(), "kind = 'next_token'"));
  std::string rounds;
  for (const std::string& line : lines(read(run / "rounds.csv")))
    rounds += line + (rounds.empty() ? ",test_perplexity\n" : line.starts_with("5,") ? ",20.5\n" : ",\n");
  write(run / "rounds.csv", rounds);
  auto end = summary(run);
  end["final_test_perplexity"] = 12.5;
  write(run / "summary.json", end.dump());
  const auto seen = listed(scratch, run);
  CHECK(seen[0]["metric"] == "perplexity");
  CHECK(seen[0]["value"] == 12.5);
  CHECK(list(scratch, {run.string()}).out.find("| perplexity 12.5000 ") != std::string::npos);
  fs::remove(run / "summary.json");
  CHECK(listed(scratch, run)[0]["value"] == 20.5);
}

TEST_CASE("ls: folders that are broken or foreign are named with what is wrong") {
  const Scratch scratch;
  const fs::path runs = scratch.path / "runs", run = runs / "run";
  REQUIRE(run_tiny(scratch.path, "runs/run", {"--quiet"}).code == 0);
  const auto broken = [&](const std::string& name, const std::string& content) {
    const fs::path copy = copy_of(run, "broken");
    if (content == "none")
      fs::remove(copy / name);
    else
      write(copy / name, content);
    const auto seen = in_folder(listed(scratch, runs), copy);
    CHECK(lines(list(scratch, {runs.string()}).out).size() == 4);
    fs::remove_all(copy);
    CHECK(seen["state"] == "broken");
    return seen["remark"].get<std::string>();
  };
  CHECK(broken("config.toml", "none") == "expected config.toml, found none");
  CHECK(broken("rounds.csv", "none") == "expected rounds.csv, found none");
  CHECK(broken("config.toml", "[x\n").starts_with("config.toml: line 1: broken TOML: "));
  CHECK(broken("config.toml", "[package]\nname = 'other'\n") ==
        "config.toml: expected a run's configuration, with the key algorithm.name");
  CHECK(broken("config.toml", "").starts_with("config.toml: expected a run's configuration"));
  const std::string config = read(run / "config.toml");
  CHECK(broken("config.toml", "task.kind = 'juggling'\n" + config).find("config.toml") == 0);  // twice there
  CHECK(broken("summary.json", read(run / "summary.json").substr(0, 40))
            .starts_with("summary.json: expected a run's summary: "));
  CHECK(broken("summary.json", "[]").starts_with("summary.json: expected a run's summary: "));
  CHECK(broken("summary.json", "{\"rounds\": \"five\"}").starts_with("summary.json: expected a run's"));
  CHECK(broken("rounds.csv", "a,b\n1,2\n").find("rounds.csv: expected a column 'round'") == 0);
  CHECK(broken("rounds.csv", "round,seconds\n1\n").starts_with("rounds.csv: byte 14"));
  CHECK(broken("rounds.csv", std::string("\0\xff\n\"", 4)).starts_with("rounds.csv: "));
}

TEST_CASE("ls: names that would break a line or are no UTF-8") {
  const Scratch scratch;
  const fs::path runs = scratch.path / "runs", run = runs / "two\nlines\xff,\"";
  write(run / "config.toml", "[");
  const auto text = lines(list(scratch, {runs.string()}).out);
  REQUIRE(text.size() == 3);
  CHECK(text[2].find("two?lines\xff,\"") != std::string::npos);
  CHECK(loru::io::parse_csv(list(scratch, {runs.string(), "--csv"}).out).text(0, "folder") == run.string());
  CHECK(listed(scratch, runs)[0]["folder"] == runs.string() + "/two\nlines\xEF\xBF\xBD,\"");
}

TEST_CASE("ls: what is refused, in one line") {
  const Scratch scratch;
  write(scratch.path / "file", "");
  const auto refused = [&](const Arguments& arguments) {
    const Result result = federate(scratch.path, arguments);
    CHECK(result.code == 2);
    CHECK(result.out.empty());
    check_one_line(result);
    return result.err;
  };
  const std::string nowhere = (scratch.path / "nowhere").string(), file = (scratch.path / "file").string();
  CHECK(refused({"ls", nowhere}) == "federate: ls: " + nowhere + ": expected a folder, found none\n");
  CHECK(refused({"ls", file}) == "federate: ls: " + file + ": expected a folder, found a file\n");
  CHECK(refused({"ls", scratch.path.string(), nowhere}).find(nowhere) != std::string::npos);
  refused({"ls", scratch.path.string(), "--json", "--csv"});
  refused({"ls", "--yaml"});
}
