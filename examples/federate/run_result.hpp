#pragma once
// The results of runs, read from their files; runs that are there already are not run again.

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <loru/data/partition/common.hpp>

#include "run.hpp"
#include "table.hpp"

namespace federate {

using LayerValues = std::map<std::string, double>;

/// One run, read from its files.
struct RunResult {
  Index seed = 0, rounds = 0, merges = 0;
  bool diverged = false;  // it ended before its last round: its numbers are of another point, and in no mean
  bool stopped = false;   // it ended early, being as good as wanted
  double seconds = 0.0, uplink = 0.0, downlink = 0.0;
  std::map<std::string, double> final_values;     // "test_accuracy", "validation_mae", ...
  std::optional<double> personal;                 // mean accuracy of the clients' own models
  std::vector<std::optional<double>> at_budgets;  // nothing where the first round evaluated is beyond
  LayerValues aggregation_error, update_rank;

  /// A final value by its name; nothing where there is none.
  std::optional<double> final_value(const std::string& name) const {
    const auto found = final_values.find(name);
    return found == final_values.end() ? std::nullopt : std::optional(found->second);
  }
};

using RunResults = std::vector<RunResult>;

/// Reads summary.json of a run's folder and, for budgets, which are MB (10^6 bytes) of uplink, its
/// rounds.csv. Throws IoError, DataError.
RunResult read_run(const std::filesystem::path& folder, const std::vector<double>& budgets);

/// Whether the folder's summary is of a run that reached the last of so many rounds, was as good as wanted,
/// or diverged. No summary is, nor a damaged one: a run writes it as a whole.
bool reached_its_end(const std::filesystem::path& folder, Index rounds);

/// Whether the folder holds the whole run of this setup.
bool finished(const std::filesystem::path& folder, const Setup& setup);

/// The result of the setup's run in the folder options.out, which is run unless it is there, from its newest
/// checkpoint if it has one; nothing if it was interrupted. Throws as train() and read_run() do.
std::optional<RunResult> run_once(Setup& setup, loru::data::Partition parts, const RunOptions& options,
                                  const std::vector<double>& budgets = {});

/// Throws ConfigError "<where>: seeds: ..." for a seed given twice.
void require_different(const std::vector<Index>& seeds, const std::string& where);

/// Of value(run), a function or a member, over the runs that have one and did not diverge.
template <class F>
Statistic over(const RunResults& runs, F value) {
  std::vector<double> values;
  for (const RunResult& run : runs)
    if (const std::optional<double> v = std::invoke(value, run); v && !run.diverged) values.push_back(*v);
  return statistic(values);
}

Index diverged_runs(const RunResults& runs);

/// "3", "3 (1 diverged)".
std::string count_text(const RunResults& runs);

}  // namespace federate
