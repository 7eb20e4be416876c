// What a run prints, how it is described, and how it is stopped.

#include <pty.h>

#include "federate/program.hpp"

using namespace loru_test;

namespace {

bool plain(const std::string& text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c == '\n' || static_cast<unsigned char>(c) >= 32; });
}

/// What makes a federation on texts, with labels or of speakers, one on texts of this test, with a model
/// from nothing.
Arguments own_texts(const Scratch& scratch, bool labels) {
  std::string sentences;
  for (int i = 0; i < 100; ++i) sentences += "0 a gloomy film\n1 a lovely film\n";
  write(scratch.path / "labels.txt", sentences);
  for (char client = 'a'; client <= 'l'; ++client)
    write(scratch.path / "speakers" / (std::string(1, client) + ".txt"), std::string(400, client));
  const std::string file = labels ? "labels.txt" : "speakers";
  return {"--data-dir", scratch.path.string(), "--set", "data.name=text",    "--set", "data.train=" + file,
          "--set",      "data.test=" + file,   "--set", "model.weights=\"\""};
}

/// Waits until a run has finished a few rounds.
bool wait_for_rounds(const fs::path& out, std::size_t rounds) {
  for (int i = 0; i < 3000; ++i) {
    if (lines(read(out / "rounds.csv")).size() > rounds) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("piped output is plain lines, one a round") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out");
  REQUIRE(result.code == 0);
  CHECK(plain(result.out));
  const auto printed = lines(result.out);
  CHECK(std::count_if(printed.begin(), printed.end(),
                      [](auto& line) { return line.starts_with("round "); }) == 5);
}

TEST_CASE("a terminal shows a bar that fits into its line") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const std::string config = (scratch.path / "tiny.toml").string(), out = (scratch.path / "out").string();
  struct ::winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    ::execl(federate_program.c_str(), "federate", config.c_str(), "--out", out.c_str(), nullptr);
    ::_exit(127);
  }
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(terminal, buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(n));
  ::close(terminal);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CAPTURE(text);
  CHECK(status == 0);
  const std::size_t last = text.rfind("round 5/5 [############]");
  REQUIRE(last != std::string::npos);
  const std::string bar = text.substr(last, text.find('\r', last) - last);
  CHECK(bar.find("accuracy ") != std::string::npos);
  CHECK(bar.ends_with(" left"));
  CHECK(bar.size() < 80);
}

TEST_CASE("option --quiet prints nothing") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out", {"--quiet"});
  CHECK(result.code == 0);
  CHECK(result.out.empty());
  CHECK(result.err.empty());
}

TEST_CASE("an interrupted run finishes its round, writes everything and exits 130") {
  const Scratch scratch;
  const int number = GENERATE(SIGINT, SIGTERM);
  write(scratch.path / "tiny.toml", tiny);
  const fs::path out = scratch.path / "out";
  const Process process(scratch.path, {(scratch.path / "tiny.toml").string(), "--out", out.string(), "--set",
                                       "federation.rounds=1000000", "--set", "federation.eval_every=0"});
  REQUIRE(wait_for_rounds(out, 2));
  process.signal(number);
  const Result result = process.wait();
  CAPTURE(result.err);
  CHECK(result.code == 130);
  check_one_line(result);
  CHECK(plain(result.out + result.err));
  CHECK(names_in(out) == std::vector<std::string>{"clients.csv", "config.toml", "model.safetensors",
                                                  "rounds.csv", "summary.json"});
  const auto rounds = lines(read(out / "rounds.csv")).size() - 1;
  CHECK(summary(out)["rounds"] == rounds);
  CHECK(result.err.find("stopped after round " + std::to_string(rounds) + " of 1000000") !=
        std::string::npos);
  const Result evaluated = federate(scratch.path, {"eval", out.string()});
  CHECK(evaluated.code == 0);
}

TEST_CASE("a killed run leaves whole lines and no half-written file") {
  const Scratch scratch;
  write(scratch.path / "tiny.toml", tiny);
  const fs::path out = scratch.path / "out";
  const Process process(scratch.path, {(scratch.path / "tiny.toml").string(), "--out", out.string(), "--set",
                                       "federation.rounds=1000000"});
  REQUIRE(wait_for_rounds(out, 2));
  process.signal(SIGKILL);
  CHECK(process.wait().code == 1000 + SIGKILL);
  CHECK(read(out / "rounds.csv").ends_with('\n'));
  CHECK(names_in(out) == std::vector<std::string>{".lock", "config.toml", "rounds.csv"});
}

TEST_CASE("option --describe shows data, model, clients and bytes, and trains nothing") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out", {"--describe"});
  REQUIRE(result.code == 0);
  CHECK(plain(result.out));
  for (const char* text : {"240 samples to train on, 80 to test on, 1x4x4, 4 classes", "12 clients",
                           "samples a client", "fc2", "256x256", "rank 4", "fedavg would send"})
    CHECK(result.out.find(text) != std::string::npos);
  CHECK(names_in(scratch.path / "out").empty());
}

TEST_CASE("option --explain shows plans and predicted costs, needs no data and trains nothing") {
  const Scratch scratch;
  const Result result = run_tiny(scratch.path, "out", {"--explain"});
  CAPTURE(result.out, result.err);
  REQUIRE(result.code == 0);
  CHECK(plain(result.out));
  const auto shown = lines(result.out);
  REQUIRE(shown.size() == 3);
  std::istringstream row(shown[1]);
  std::string layer, shape, plan;
  int rows = 0, n = 0, m = 0, r = 0;
  double factored = 0, composed = 0, full = 0;
  row >> layer >> shape >> rows >> n >> m >> r >> factored >> composed >> full >> plan;
  CHECK(layer == "fc2");
  CHECK(shape == "256x256");
  CHECK((rows == 8 && n == 256 && m == 256 && r == 4));
  CHECK((factored > 0.0 && factored < composed && composed < full));
  CHECK(plan == "factored");
  CHECK(shown[2].starts_with("1 factored layers, "));
  CHECK(names_in(scratch.path / "out").empty());

  // A known data set need not be there, and a forced plan is shown as such.
  const Result forced =
      federate(scratch.path, {(bundled / "cifar10_resnet10.toml").string(), "--explain", "--data-dir",
                              "/nowhere", "--set", "lowrank.plan=composed_full"});
  CAPTURE(forced.out, forced.err);
  REQUIRE(forced.code == 0);
  CHECK(lines(forced.out).size() == 13);
  CHECK(forced.out.find("layer4.0.downsample.0") != std::string::npos);
  CHECK(forced.out.find("512x256x1x1") != std::string::npos);
  for (const std::string& line : lines(forced.out))
    if (line.starts_with("layer") && line.find("weight") == std::string::npos)
      CHECK(line.ends_with(" composed_full"));
}

TEST_CASE("every bundled federation can be described") {
  const Scratch scratch;
  for (const auto& entry : fs::directory_iterator(bundled)) {
    if (!entry.is_regular_file()) continue;  // own_data/ needs files that a script writes: tasks.cpp runs it
    Arguments arguments{entry.path().string(), "--describe"};
    if (of_texts(entry.path())) {
      const std::string name = entry.path().filename().string();
      const Arguments more = own_texts(scratch, name.starts_with("sst2") || name.starts_with("banking77"));
      arguments.insert(arguments.end(), more.begin(), more.end());
    }
    Result result = federate(scratch.path, arguments);
    if (result.code == 2 && result.err.find("data set not found") != std::string::npos) {
      const bool cifar = entry.path().filename().string().starts_with("cifar");
      for (const char* stand_in :
           {"data.name=synthetic", cifar ? "data.shape=[3, 32, 32]" : "data.shape=[1, 28, 28]",
            "partition.kind=iid"})
        arguments.insert(arguments.end(), {"--set", stand_in});
      result = federate(scratch.path, arguments);
    }
    CAPTURE(entry.path(), result.err);
    CHECK(result.code == 0);
  }
}

TEST_CASE("every configuration of a study can be described") {
  const Scratch scratch;
  int described = 0;
  for (const auto& entry : fs::recursive_directory_iterator(bundled.parent_path() / "studies")) {
    if (entry.path().extension() != ".toml") continue;
    const bool sentences = entry.path().string().find("/sentences/") != std::string::npos;
    Arguments arguments{entry.path().string(), "--describe"};
    for (const std::string& more :
         sentences ? own_texts(scratch, true)
                   : Arguments{"--set", "data.name=synthetic", "--set", "data.shape=[1, 28, 28]", "--set",
                               "data.train_samples=200"})
      arguments.push_back(more);
    const Result result = federate(scratch.path, arguments);
    CAPTURE(entry.path(), result.err);
    CHECK(result.code == 0);
    ++described;
  }
  CHECK(described > 0);
}

TEST_CASE("the digits reach 93 % in seconds") {
  const Scratch scratch;
  const Result result = federate(scratch.path, {(bundled / "digits.toml").string(), "--out",
                                                (scratch.path / "out").string(), "--quiet"});
  REQUIRE(result.code == 0);
  const auto written = summary(scratch.path / "out");
  CHECK(written["final_test_accuracy"].get<double>() >= 0.93);
  CHECK(written["merges"].get<int>() >= 2);
  CHECK(written["wall_seconds"].get<double>() < 20.0);
}
