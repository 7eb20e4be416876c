#pragma once
// The table that compares runs.

#include <filesystem>
#include <string>
#include <vector>

#include "run_result.hpp"

namespace federate {

/// The runs of one configuration.
struct ComparisonRow {
  std::string name, algorithm;
  RunResults runs = {};
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
