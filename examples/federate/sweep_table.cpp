#include "sweep_table.hpp"

#include <cmath>

#include <loru/io/csv.hpp>

namespace federate {

using loru::concat;
using loru::io::CsvField;

SweepTable::SweepTable(Grid grid, const loru::train::Metric& metric, bool validated,
                       std::vector<RunResults> results)
    : grid_{std::move(grid)},
      metric_{metric.name},
      higher_is_better_{metric.higher_is_better},
      validated_{validated},
      results_{std::move(results)} {}

Statistic SweepTable::validation(std::size_t point) const {
  return over(results_[point],
              [&](const RunResult& run) { return run.final_value("validation_" + metric_); });
}

Statistic SweepTable::tested(std::size_t point) const {
  return over(results_[point], [&](const RunResult& run) { return run.final_value("test_" + metric_); });
}

std::string SweepTable::metric_text(const Statistic& s) const {
  return metric_ == "accuracy" ? with_deviation(s, 100.0, 2) : with_deviation(s, 1.0, 4);
}

std::string SweepTable::validation_text(std::size_t point) const {
  return concat("validation ", metric_, ' ', metric_text(validation(point)),
                metric_ == "accuracy" ? " %" : "");
}

std::vector<std::string> SweepTable::metric_names() const {
  std::vector<std::string> names;
  if (validated_) names.push_back("validation_" + metric_);
  names.push_back("test_" + metric_);
  return names;
}

std::string SweepTable::markdown() const {
  const std::string unit = metric_ == "accuracy" ? " %" : "";
  std::vector<std::vector<std::string>> cells{grid_.keys()};
  cells[0].emplace_back("seeds");
  if (validated_) cells[0].push_back("validation " + metric_ + unit);
  cells[0].insert(cells[0].end(), {"test " + metric_ + unit, "up MB", "merges"});
  for (std::size_t point = 0; point < grid_.size(); ++point) {
    const RunResults& runs = results_[point];
    std::vector<std::string> line;
    for (std::size_t axis = 0; axis < grid_.axes().size(); ++axis)
      line.push_back(grid_.value(point, axis).text);
    line.push_back(count_text(runs));
    if (validated_) line.push_back(metric_text(validation(point)));
    line.push_back(metric_text(tested(point)));
    line.push_back(fixed(over(runs, &RunResult::uplink).mean, 1e-6, 1));
    line.push_back(fixed(over(runs, &RunResult::merges).mean, 1.0, 1));
    cells.push_back(std::move(line));
  }
  return aligned(cells);
}

void SweepTable::write_csv(const std::filesystem::path& path) const {
  std::vector<std::string> columns = grid_.keys();
  columns.insert(columns.end(), {"seeds", "diverged"});
  for (const std::string& name : metric_names()) columns.insert(columns.end(), {name, name + "_deviation"});
  columns.insert(columns.end(), {"uplink_bytes", "merges"});
  loru::io::CsvWriter out(path, columns);
  for (std::size_t point = 0; point < grid_.size(); ++point) {
    const RunResults& runs = results_[point];
    std::vector<CsvField> fields;
    for (std::size_t axis = 0; axis < grid_.axes().size(); ++axis)
      fields.emplace_back(grid_.value(point, axis).text);
    fields.insert(fields.end(), {runs.size(), diverged_runs(runs)});
    if (validated_) fields.insert(fields.end(), {validation(point).mean, validation(point).deviation});
    fields.insert(fields.end(), {tested(point).mean, tested(point).deviation,
                                 over(runs, &RunResult::uplink).mean, over(runs, &RunResult::merges).mean});
    out.row(fields);
  }
}

void SweepTable::write_runs(const std::filesystem::path& path) const {
  std::vector<std::string> columns = grid_.keys();
  columns.insert(columns.end(), {"seed", "rounds", "diverged"});
  for (const std::string& name : metric_names()) columns.push_back(name);
  columns.insert(columns.end(), {"uplink_bytes", "merges", "train_seconds", "folder"});
  loru::io::CsvWriter out(path, columns);
  for (std::size_t point = 0; point < grid_.size(); ++point)
    for (const RunResult& run : results_[point]) {
      std::vector<CsvField> fields;
      for (std::size_t axis = 0; axis < grid_.axes().size(); ++axis)
        fields.emplace_back(grid_.value(point, axis).text);
      fields.insert(fields.end(), {run.seed, run.rounds, int(run.diverged)});
      for (const std::string& name : metric_names()) fields.emplace_back(run.final_value(name));
      fields.insert(fields.end(),
                    {run.uplink, run.merges, run.seconds, concat(grid_.name(point), "/seed-", run.seed)});
      out.row(fields);
    }
}

std::optional<std::size_t> SweepTable::best() const {
  const double sign = higher_is_better_ ? 1.0 : -1.0;
  std::optional<std::size_t> best;
  double most = 0.0;
  for (std::size_t point = 0; point < grid_.size(); ++point) {
    const RunResults& runs = results_[point];
    const bool whole = std::all_of(runs.begin(), runs.end(), [&](const RunResult& run) {
      return !run.diverged && std::isfinite(run.final_value("validation_" + metric_).value_or(NAN));
    });
    if (!whole || runs.empty()) continue;
    const double value = sign * *validation(point).mean;
    if (best && value <= most) continue;
    best = point;
    most = value;
  }
  return best;
}

}  // namespace federate
