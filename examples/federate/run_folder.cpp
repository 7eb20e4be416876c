#include "run_folder.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <toml++/toml.h>
#include <loru/io/csv.hpp>

#include "federation.hpp"
#include "lock.hpp"
#include "output.hpp"
#include "tensorboard.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::concat, loru::ConfigError, loru::DataError, loru::require;

namespace {

// ---- the files of a run ----

/// A value of a run's configuration. Read by itself, so that runs of other versions are listed too.
template <class T>
T setting(const toml::table& document, const char* key) {
  const auto value = document.at_path(key).value<T>();
  require<DataError>(value.has_value(), "config.toml: expected a run's configuration, with the key ", key);
  return *value;
}

void read_config(RunFolder& run) {
  require<DataError>(fs::exists(run.folder / "config.toml"), "expected config.toml, found none");
  const std::string text = loru::io::read_text(run.folder / "config.toml");
  try {
    const toml::table document = toml::parse(text);
    run.algorithm = setting<std::string>(document, "algorithm.name");
    run.model = setting<std::string>(document, "model.name");
    run.dataset = setting<std::string>(document, "data.name");
    run.seed = setting<Index>(document, "seed");
    run.rounds_wanted = setting<Index>(document, "federation.rounds");
    Configuration c;
    c.task = document.at_path("task.kind").value_or(c.task);
    run.metric = metrics(c)[0];
  } catch (const toml::parse_error& error) {
    loru::fail<DataError>("config.toml: line ", error.source().begin.line,
                          ": broken TOML: ", error.description());
  }
}

std::string tested(const RunFolder& run) { return concat("test_", run.metric->name); }

/// A last row that is not whole, of a run that was killed or is under way, does not count.
void read_rounds(RunFolder& run) {
  std::string text = loru::io::read_text(run.folder / "rounds.csv");
  text.resize(text.rfind('\n') + 1);
  if (text.empty()) return;
  const loru::io::CsvTable table = loru::io::parse_csv(text, "rounds.csv");
  for (const char* name : {"round", "uplink_bytes", "seconds"}) table.column(name);  // also where no row is
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    run.rounds = table.number<Index>(i, "round").value_or(run.rounds);
    run.uplink_bytes += table.number<Index>(i, "uplink_bytes").value_or(0);
    run.seconds += table.number(i, "seconds").value_or(0.0);
    if (!run.metric) continue;
    if (const auto value = table.number(i, tested(run))) run.value = value;
    if (const auto loss = table.number(i, "test_loss")) run.test_loss = loss;
  }
}

/// The end of a run, as its summary tells; nothing is known of the model's metric where it is not finite.
void read_summary(RunFolder& run) {
  try {
    const auto summary = nlohmann::json::parse(loru::io::read_text(run.folder / "summary.json"));
    const auto number = [&](const std::string& name) {
      const auto& value = summary.at(name);
      return value.is_null() ? std::nullopt : std::optional(value.get<double>());
    };
    const Index rounds = summary.at("rounds");
    run.value = number("final_" + tested(run));
    run.test_loss = number("final_test_loss");
    if (summary.contains("diverged")) {
      run.state = RunState::diverged;
      run.remark = concat("in round ", rounds + 1);
    } else if (summary.contains("stopped_after")) {
      run.state = RunState::finished;
      run.remark = "as good as wanted";
    } else if (rounds >= *run.rounds_wanted) {
      run.state = RunState::finished;
    }
  } catch (const nlohmann::json::exception& error) {
    loru::fail<DataError>("summary.json: expected a run's summary: ", error.what());
  }
}

/// Fills the run from its files. Throws DataError, IoError for what is wrong with them.
void read_files(RunFolder& run) {
  read_config(run);
  const bool ended = fs::exists(run.folder / "summary.json");
  const bool begun = fs::exists(run.folder / "rounds.csv");
  require<DataError>(begun || !ended, "expected rounds.csv, found none");
  if (begun) read_rounds(run);
  if (ended) read_summary(run);
  if (run.state != RunState::interrupted) return;
  const auto checkpoints = files_of_rounds(run.folder / "checkpoint");
  if (!checkpoints.empty()) run.checkpoint = checkpoints.rbegin()->first;
  run.remark = run.checkpoint ? concat("checkpoint of round ", *run.checkpoint) : "no checkpoint";
}

RunFolder look_at(const fs::path& folder) {
  RunFolder run{.folder = folder};
  const auto holder = lock_holder(folder);  // before its files: they are whole once it is gone
  try {
    read_files(run);
  } catch (const std::exception& error) {
    run.state = RunState::broken;
    run.remark = error.what();
  }
  if (holder) {
    run.state = RunState::running;
    run.remark = concat("process ", *holder);
  }
  return run;
}

// ---- where runs are ----

/// Whether a folder in a run is one of the run's own, which hold no runs and may hold a million files.
bool is_folder_of_run(const std::string& name) {
  return name == "checkpoint" || name == "clients" || name == "rounds" || name == "merges" ||
         name == events_folder;
}

void find(const fs::path& folder, std::vector<RunFolder>& found) {
  const bool run = is_run(folder);
  if (run) found.push_back(look_at(folder));
  std::error_code code;
  std::vector<fs::path> below;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    std::error_code gone;
    if (!entry->is_directory(gone) || entry->is_symlink(gone)) continue;
    if (!run || !is_folder_of_run(entry->path().filename().string())) below.push_back(entry->path());
  }
  if (code && code != std::errc::no_such_file_or_directory && !run)
    found.push_back({.folder = folder, .state = RunState::broken, .remark = code.message()});
  std::sort(below.begin(), below.end(), [](const fs::path& a, const fs::path& b) {
    return natural_before(a.filename().string(), b.filename().string());
  });
  for (const fs::path& inner : below) find(inner, found);
}

}  // namespace

std::string to_string(RunState state) {
  constexpr std::array names{"finished", "diverged", "running", "interrupted", "broken"};
  return names[static_cast<std::size_t>(state)];
}

bool is_run(const fs::path& folder) {
  std::error_code code;
  return fs::exists(folder / "config.toml", code) || fs::exists(folder / "rounds.csv", code) ||
         fs::exists(folder / "summary.json", code);
}

void require_no_run(const fs::path& folder, const std::string& who) {
  require<ConfigError>(!is_run(folder), who, ": --out: expected another folder than a run's own, got ",
                       folder.native());
}

bool is_part_of_run(const fs::path& path, const fs::path& run) {
  const fs::path inside = path.lexically_relative(run);
  if (inside.empty() || *inside.begin() == "..") return false;
  const std::string first = inside.begin()->string();
  if (is_folder_of_run(first) || inside == ".") return true;
  for (const char* name : {"config.toml", "rounds.csv", "summary.json", "model.safetensors",
                           "best.safetensors", "clients.csv", characters_file})
    if (inside == name) return true;
  return false;
}

std::vector<RunFolder> runs_in(const fs::path& folder) {
  std::error_code code;
  require<ConfigError>(fs::is_directory(folder, code), "ls: ", folder.native(), ": expected a folder, found ",
                       fs::exists(folder, code) ? "a file" : "none");
  std::vector<RunFolder> found;
  find(folder, found);
  return found;
}

bool natural_before(const std::string& a, const std::string& b) {
  const auto digits = [](const std::string& s, std::size_t from) {
    return std::min(s.find_first_not_of("0123456789", from), s.size()) - from;
  };
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const std::size_t n = digits(a, i), m = digits(b, j);
    if (n > 0 && m > 0) {
      const std::string x = a.substr(i, n), y = b.substr(j, m);
      if (x != y) return n != m ? n < m : x < y;
      i += n, j += m;
    } else {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
    }
  }
  return a.size() < b.size();
}

}  // namespace federate
