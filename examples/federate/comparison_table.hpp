#pragma once
// The results of runs, read from their files, and the table that compares them.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <loru/core/shape.hpp>

namespace federate {

using loru::Index;
using LayerValues = std::map<std::string, double>;

/// One run, read from its files.
struct RunResult {
  Index seed = 0, rounds = 0;
  bool diverged = false;  // it ended before its last round: its numbers are of another point, and in no mean
  bool stopped = false;   // it ended early, being as good as wanted
  double seconds = 0.0, uplink = 0.0, downlink = 0.0;
  std::optional<double> accuracy;                 // nothing where the task has none
  std::optional<double> personal;                 // mean accuracy of the clients' own models
  std::vector<std::optional<double>> at_budgets;  // nothing where the first round evaluated is beyond
  LayerValues aggregation_error, update_rank;

  bool whole(Index wanted) const { return rounds == wanted || stopped; }
};

/// Reads summary.json and rounds.csv of a run's folder; budgets are MB (10^6 bytes) of uplink. Throws
/// IoError, DataError.
RunResult read_run(const std::filesystem::path& folder, const std::vector<double>& budgets);

/// The runs of one configuration.
struct ComparisonRow {
  std::string name, algorithm;
  std::vector<RunResult> runs = {};
};

/// A line a configuration: means over its runs that did not diverge, and the sample's standard deviations.
class ComparisonTable {
 public:
  ComparisonTable(std::vector<ComparisonRow> rows, std::vector<double> budgets);

  /// For a person.
  std::string markdown() const;
  void write_csv(const std::filesystem::path& path) const;
  /// One line a run.
  void write_runs(const std::filesystem::path& path) const;

 private:
  std::vector<ComparisonRow> rows_;
  std::vector<double> budgets_;
  std::vector<std::string> layers_;  // of all runs
};

}  // namespace federate
