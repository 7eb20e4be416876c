#pragma once
// Running the program federate, and small federations to run.

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include "support/catch.hpp"

namespace loru_test {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;

inline const std::string federate_program = std::string(LORU_BIN_DIR) + "/federate";
inline const fs::path bundled = fs::path(LORU_SOURCE_DIR) / "examples" / "federations";

/// Whether a bundled federation is one on texts, which need data and weights that `./dev data` fetches.
inline bool of_texts(const fs::path& federation) {
  const std::string name = federation.filename().string();
  for (const char* data : {"sst2_", "banking77_", "shakespeare_", "stories"})
    if (name.starts_with(data)) return true;
  return false;
}

inline std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline void write(const fs::path& path, const std::string& content) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// An empty folder that goes with the test.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (fs::temp_directory_path() / "loru-federate-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  fs::path path;
};

/// A federation of well under a second: two merges, four clients a round of twelve.
inline const char* const tiny = R"(
seed = 7
[data]
name = "synthetic"
shape = [1, 4, 4]
classes = 4
train_samples = 240
test_samples = 80
[model]
name = "mlp"
[lowrank]
rank = 4
alpha = 4
[algorithm]
name = "fedloru"
tau = 2
[federation]
clients = 12
cohort = 4
rounds = 5
eval_every = 2
[client]
epochs = 1
batch = 8
)";

struct Result {
  int code = -1;
  std::string out, err;
};

/// The program while it runs. Its folder holds what it prints.
class Process {
 public:
  Process(const fs::path& folder, const Arguments& arguments) : folder_{folder} {
    std::vector<char*> argv{const_cast<char*>(federate_program.c_str())};
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const std::string out = (folder / "stdout.txt").string(), err = (folder / "stderr.txt").string();
    posix_spawn_file_actions_addopen(&actions, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    posix_spawn_file_actions_addopen(&actions, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    REQUIRE(posix_spawn(&pid_, federate_program.c_str(), &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }

  void signal(int number) const { ::kill(pid_, number); }

  /// Waits for the end. The code of a program that a signal killed is 1000 + the signal.
  Result wait() const {
    int status = 0;
    REQUIRE(::waitpid(pid_, &status, 0) == pid_);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), read(folder_ / "stdout.txt"),
            read(folder_ / "stderr.txt")};
  }

 private:
  fs::path folder_;
  pid_t pid_ = 0;
};

inline Result federate(const fs::path& folder, const Arguments& arguments) {
  return Process(folder, arguments).wait();
}

/// Runs the tiny federation, with more arguments, into folder/OUT.
inline Result run_tiny(const fs::path& folder, const std::string& out, Arguments more = {}) {
  write(folder / "tiny.toml", tiny);
  Arguments arguments{(folder / "tiny.toml").string(), "--out", (folder / out).string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return federate(folder, arguments);
}

inline nlohmann::ordered_json summary(const fs::path& out) {
  return nlohmann::ordered_json::parse(read(out / "summary.json"));
}

/// One line to stderr that begins as all of them do.
inline void check_one_line(const Result& result) {
  CAPTURE(result.err);
  CHECK(result.err.starts_with("federate: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(result.err.ends_with('\n'));
}

/// The names in a folder, in order; none if there is no folder.
inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  if (fs::exists(folder))
    for (const auto& entry : fs::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

/// A folder that process 4711 holds as a run's own, until this goes.
class HeldFolder {
 public:
  explicit HeldFolder(const fs::path& folder) {
    write(folder / ".lock", "4711\n");
    lock_ = ::open((folder / ".lock").c_str(), O_RDWR | O_CLOEXEC);
    if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) throw std::runtime_error("cannot lock " + folder.string());
  }
  HeldFolder(const HeldFolder&) = delete;
  HeldFolder& operator=(const HeldFolder&) = delete;
  ~HeldFolder() { ::close(lock_); }

 private:
  int lock_ = -1;
};

}  // namespace loru_test
