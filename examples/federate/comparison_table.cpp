#include "comparison_table.hpp"

#include <set>

#include <loru/io/csv.hpp>

namespace federate {

using loru::concat;
using loru::io::CsvField;

namespace {

Statistic at_budget(const ComparisonRow& row, std::size_t budget) {
  return over(row.runs, [&](const RunResult& run) { return run.at_budgets[budget]; });
}

Statistic accuracy(const ComparisonRow& row) {
  return over(row.runs, [](const RunResult& run) { return run.final_value("test_accuracy"); });
}

std::string percent(const Statistic& s) { return with_deviation(s, 100.0, 2); }

Statistic of_layer(const ComparisonRow& row, LayerValues RunResult::* values, const std::string& layer) {
  return over(row.runs, [&](const RunResult& run) -> std::optional<double> {
    const auto found = (run.*values).find(layer);
    return found == (run.*values).end() ? std::nullopt : std::optional(found->second);
  });
}

constexpr double RunResult::* sums[] = {&RunResult::uplink, &RunResult::downlink, &RunResult::seconds};

void append_sum_names(std::vector<std::string>& columns) {
  columns.insert(columns.end(), {"uplink_bytes", "downlink_bytes", "train_seconds"});
}

std::string budget_column(double budget) { return concat("accuracy_at_", short_number(budget), "_MB"); }

}  // namespace

ComparisonTable::ComparisonTable(std::vector<ComparisonRow> rows, std::vector<double> budgets)
    : rows_{std::move(rows)}, budgets_{std::move(budgets)} {
  std::set<std::string> names;
  for (const ComparisonRow& row : rows_)
    for (const RunResult& run : row.runs)
      for (const LayerValues* values : {&run.update_rank, &run.aggregation_error})
        for (const auto& [name, value] : *values) names.insert(name);
  layers_.assign(names.begin(), names.end());
}

std::string ComparisonTable::markdown() const {
  std::vector<std::vector<std::string>> cells{{"run", "algorithm", "seeds", "accuracy %", "personal %"}};
  for (double budget : budgets_) cells[0].push_back(concat("% at ", short_number(budget), " MB"));
  for (const char* name : {"up MB", "down MB", "s", "aggregation error", "rank of the update"})
    cells[0].emplace_back(name);
  for (const ComparisonRow& row : rows_) {
    const auto layers = [&](LayerValues RunResult::* values) {
      std::string text;
      for (const std::string& layer : layers_)
        if (const auto mean = of_layer(row, values, layer).mean)
          text += concat(text.empty() ? "" : ", ", layer, ' ', short_number(*mean));
      return text;
    };
    std::vector<std::string> line{row.name, row.algorithm, count_text(row.runs), percent(accuracy(row)),
                                  percent(over(row.runs, &RunResult::personal))};
    for (std::size_t i = 0; i < budgets_.size(); ++i) line.push_back(percent(at_budget(row, i)));
    line.push_back(fixed(over(row.runs, &RunResult::uplink).mean, 1e-6, 1));
    line.push_back(fixed(over(row.runs, &RunResult::downlink).mean, 1e-6, 1));
    line.push_back(fixed(over(row.runs, &RunResult::seconds).mean, 1.0, 1));
    line.push_back(layers(&RunResult::aggregation_error));
    line.push_back(layers(&RunResult::update_rank));
    cells.push_back(std::move(line));
  }
  return aligned(cells);
}

void ComparisonTable::write_csv(const std::filesystem::path& path) const {
  std::vector<std::string> columns{
      "name", "algorithm", "seeds", "diverged", "accuracy", "accuracy_deviation", "personal_accuracy"};
  for (double budget : budgets_) columns.push_back(budget_column(budget));
  append_sum_names(columns);
  for (const char* prefix : {"aggregation_error.", "update_rank."})
    for (const std::string& layer : layers_) columns.push_back(prefix + layer);
  loru::io::CsvWriter out(path, columns);
  for (const ComparisonRow& row : rows_) {
    const Statistic tested = accuracy(row);
    std::vector<CsvField> fields{row.name,
                                 row.algorithm,
                                 row.runs.size(),
                                 diverged_runs(row.runs),
                                 tested.mean,
                                 tested.deviation,
                                 over(row.runs, &RunResult::personal).mean};
    for (std::size_t i = 0; i < budgets_.size(); ++i) fields.emplace_back(at_budget(row, i).mean);
    for (double RunResult::* sum : sums) fields.emplace_back(over(row.runs, sum).mean);
    for (LayerValues RunResult::* values : {&RunResult::aggregation_error, &RunResult::update_rank})
      for (const std::string& layer : layers_) fields.emplace_back(of_layer(row, values, layer).mean);
    out.row(fields);
  }
}

void ComparisonTable::write_runs(const std::filesystem::path& path) const {
  std::vector<std::string> columns{"name",     "algorithm",        "seed", "rounds", "diverged",
                                   "accuracy", "personal_accuracy"};
  for (double budget : budgets_) columns.push_back(budget_column(budget));
  append_sum_names(columns);
  loru::io::CsvWriter out(path, columns);
  for (const ComparisonRow& row : rows_)
    for (const RunResult& run : row.runs) {
      std::vector<CsvField> fields{row.name,    row.algorithm,     run.seed,
                                   run.rounds,  int(run.diverged), run.final_value("test_accuracy"),
                                   run.personal};
      for (const auto& accuracy : run.at_budgets) fields.emplace_back(accuracy);
      for (double RunResult::* sum : sums) fields.emplace_back(run.*sum);
      out.row(fields);
    }
}

}  // namespace federate
