#include "listing.hpp"

#include <algorithm>
#include <iostream>
#include <set>

#include <nlohmann/json.hpp>
#include <loru/io/csv.hpp>

#include "progress.hpp"
#include "run_folder.hpp"
#include "table.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::concat;
using loru::io::CsvWriter;

namespace {

/// On one line, whatever a folder is called.
std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; }, '?');
  return text;
}

std::string table_of(const std::vector<RunFolder>& runs) {
  std::vector<std::vector<std::string>> cells{
      {"run", "algorithm", "model", "data", "seed", "rounds", "result", "up MB", "s", "state"}};
  for (const RunFolder& run : runs) {
    const bool known = run.rounds_wanted.has_value();
    cells.push_back({run.folder.string(), run.algorithm, run.model, run.dataset,
                     run.seed ? std::to_string(*run.seed) : "",
                     known ? concat(run.rounds, " of ", *run.rounds_wanted) : "",
                     run.value ? human_metric(*run.metric, *run.value) : "",
                     known ? fixed(static_cast<double>(run.uplink_bytes), 1e-6, 1) : "",
                     known ? fixed(run.seconds, 1.0, 1) : "",
                     to_string(run.state) + (run.remark.empty() ? "" : ": " + run.remark)});
    for (std::string& cell : cells.back()) cell = one_line(std::move(cell));
  }
  return aligned(cells);
}

std::optional<std::string> metric_name(const RunFolder& run) {
  return run.metric ? std::optional(std::string(run.metric->name)) : std::nullopt;
}

std::string csv_of(const std::vector<RunFolder>& runs) {
  std::string text =
      CsvWriter::line({"folder", "algorithm", "model", "dataset", "seed", "rounds", "rounds_wanted", "metric",
                       "value", "test_loss", "uplink_bytes", "seconds", "state", "checkpoint", "remark"});
  for (const RunFolder& run : runs)
    text += CsvWriter::line({run.folder.string(), run.algorithm, run.model, run.dataset, run.seed, run.rounds,
                             run.rounds_wanted, metric_name(run), run.value, run.test_loss, run.uplink_bytes,
                             run.seconds, to_string(run.state), run.checkpoint, run.remark});
  return text;
}

template <class T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json();
}

std::string json_of(const std::vector<RunFolder>& runs) {
  auto list = nlohmann::ordered_json::array();
  for (const RunFolder& run : runs)
    list.push_back({{"folder", run.folder.string()},
                    {"algorithm", run.algorithm},
                    {"model", run.model},
                    {"dataset", run.dataset},
                    {"seed", or_null(run.seed)},
                    {"rounds", run.rounds},
                    {"rounds_wanted", or_null(run.rounds_wanted)},
                    {"metric", or_null(metric_name(run))},
                    {"value", or_null(run.value)},
                    {"test_loss", or_null(run.test_loss)},
                    {"uplink_bytes", run.uplink_bytes},
                    {"seconds", run.seconds},
                    {"state", to_string(run.state)},
                    {"checkpoint", or_null(run.checkpoint)},
                    {"remark", run.remark}});
  // A folder's name need not be UTF-8.
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n';
}

}  // namespace

ExitCode list_runs(const Listing& listing) {
  const std::vector<std::string> folders =
      listing.folders.empty() ? std::vector<std::string>{"runs"} : listing.folders;
  std::vector<RunFolder> runs;
  std::set<fs::path> listed;  // a folder may be below two of those given
  for (const std::string& folder : folders)
    for (RunFolder& run : runs_in(folder)) {
      std::error_code gone;
      if (listed.insert(fs::weakly_canonical(run.folder, gone)).second) runs.push_back(std::move(run));
    }
  if (listing.json)
    std::cout << json_of(runs);
  else if (listing.csv)
    std::cout << csv_of(runs);
  else if (runs.empty())
    std::cout << "no runs\n";
  else
    std::cout << table_of(runs);
  return success;
}

}  // namespace federate
