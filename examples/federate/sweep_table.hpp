#pragma once
// The table of a sweep.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <loru/train/task.hpp>

#include "grid.hpp"
#include "run_result.hpp"

namespace federate {

/// A line a grid point: the values of the swept keys, and means over its runs that did not diverge with the
/// sample's standard deviations.
class SweepTable {
 public:
  /// results[p] are the runs of the grid's point p. The metric is the task's first.
  SweepTable(Grid grid, const loru::train::Metric& metric, bool validated, std::vector<RunResults> results);

  /// For a person.
  std::string markdown() const;
  void write_csv(const std::filesystem::path& path) const;
  /// One line a run.
  void write_runs(const std::filesystem::path& path) const;

  /// The point of the best mean of the final validation metric, the first of several. A point with a run that
  /// diverged or has no finite metric is none; nothing if there is no other.
  std::optional<std::size_t> best() const;

  /// "validation accuracy 97.12 ± 0.31 %" of a point.
  std::string validation_text(std::size_t point) const;

 private:
  Statistic validation(std::size_t point) const;
  Statistic tested(std::size_t point) const;
  std::string metric_text(const Statistic& s) const;
  /// The columns of the metrics that there are.
  std::vector<std::string> metric_names() const;

  Grid grid_;
  std::string metric_;
  bool higher_is_better_, validated_;
  std::vector<RunResults> results_;
};

}  // namespace federate
