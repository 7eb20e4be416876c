#include "comparison_table.hpp"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <numeric>
#include <set>
#include <sstream>

#include <nlohmann/json.hpp>
#include <loru/io/csv.hpp>

namespace federate {

using loru::concat;
using loru::io::CsvField;

namespace {

/// Test accuracy of the last round evaluated before the uplink exceeded the budget.
std::optional<double> accuracy_at(const loru::io::CsvTable& rounds, double budget) {
  std::optional<double> accuracy;
  double sent = 0.0;
  for (std::size_t i = 0; i < rounds.rows.size(); ++i) {
    sent += rounds.number(i, "uplink_bytes").value_or(0.0);
    if (sent > budget) break;
    if (const auto evaluated = rounds.number(i, "test_accuracy")) accuracy = evaluated;
  }
  return accuracy;
}

struct Statistic {
  std::optional<double> mean, deviation;  // nothing where there are too few values
};

Statistic statistic(const std::vector<double>& values) {
  if (values.empty()) return {};
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (double v : values) squares += (v - mean) * (v - mean);
  return {mean, values.size() > 1 ? std::optional(std::sqrt(squares / (n - 1.0))) : std::nullopt};
}

/// Of value(run) over the runs that have one and did not diverge.
template <class F>
Statistic over(const ComparisonRow& row, F value) {
  std::vector<double> values;
  for (const RunResult& run : row.runs)
    if (const std::optional<double> v = run.diverged ? std::nullopt : value(run)) values.push_back(*v);
  return statistic(values);
}

Statistic over(const ComparisonRow& row, double RunResult::* value) {
  return over(row, [&](const RunResult& run) { return std::optional(run.*value); });
}

Statistic over(const ComparisonRow& row, std::optional<double> RunResult::* value) {
  return over(row, [&](const RunResult& run) { return run.*value; });
}

auto diverged_runs(const ComparisonRow& row) {
  return std::count_if(row.runs.begin(), row.runs.end(), [](const RunResult& run) { return run.diverged; });
}

Statistic at_budget(const ComparisonRow& row, std::size_t budget) {
  return over(row, [&](const RunResult& run) { return run.at_budgets[budget]; });
}

Statistic personal(const ComparisonRow& row) {
  return over(row, [](const RunResult& run) { return run.personal; });
}

Statistic of_layer(const ComparisonRow& row, LayerValues RunResult::* values, const std::string& layer) {
  return over(row, [&](const RunResult& run) -> std::optional<double> {
    const auto found = (run.*values).find(layer);
    return found == (run.*values).end() ? std::nullopt : std::optional(found->second);
  });
}

std::string fixed(std::optional<double> value, double factor, int digits) {
  if (!value) return "";
  std::ostringstream text;
  text << std::fixed << std::setprecision(digits) << factor * *value;
  return text.str();
}

std::string percent(const Statistic& s) {
  return fixed(s.mean, 100.0, 2) + (s.deviation ? " ± " + fixed(s.deviation, 100.0, 2) : "");
}

std::string short_number(double value) {
  std::ostringstream text;
  text << std::setprecision(3) << value;
  return text.str();
}

/// Columns padded so that the Markdown reads as a table too.
std::string aligned(const std::vector<std::vector<std::string>>& cells) {
  const auto width = [](const std::string& s) {  // characters of UTF-8
    return static_cast<std::size_t>(
        std::count_if(s.begin(), s.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths(cells[0].size(), 3);
  for (const auto& row : cells)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string text;
  for (std::size_t line = 0; line < cells.size(); ++line) {
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += "| " + cells[line][i] + std::string(widths[i] - width(cells[line][i]) + 1, ' ');
    text += "|\n";
    if (line > 0) continue;
    for (std::size_t w : widths) text += '|' + std::string(w + 2, '-');
    text += "|\n";
  }
  return text;
}

constexpr double RunResult::* sums[] = {&RunResult::uplink, &RunResult::downlink, &RunResult::seconds};

void append_sum_names(std::vector<std::string>& columns) {
  columns.insert(columns.end(), {"uplink_bytes", "downlink_bytes", "train_seconds"});
}

std::string budget_column(double budget) { return concat("accuracy_at_", short_number(budget), "_MB"); }

/// Numbers by layer; null, which stands for what is not finite, is left out.
LayerValues layer_values(const nlohmann::json& summary, const char* key) {
  LayerValues values;
  if (!summary.contains(key)) return values;
  for (const auto& [layer, value] : summary.at(key).items())
    if (!value.is_null()) values[layer] = value.get<double>();
  return values;
}

}  // namespace

RunResult read_run(const std::filesystem::path& folder, const std::vector<double>& budgets) {
  const std::filesystem::path file = folder / "summary.json";
  const loru::io::CsvTable rounds = loru::io::read_csv(folder / "rounds.csv");
  try {
    const auto summary = nlohmann::json::parse(loru::io::read_text(file));
    RunResult run{.seed = summary.at("seed"),
                  .rounds = summary.at("rounds"),
                  .stopped = summary.contains("stopped_after"),
                  .seconds = summary.at("train_seconds"),
                  .uplink = summary.at("uplink_bytes"),
                  .downlink = summary.at("downlink_bytes"),
                  .accuracy = {},
                  .personal = {},
                  .at_budgets = {},
                  .aggregation_error = layer_values(summary, "aggregation_error"),
                  .update_rank = layer_values(summary, "update_rank")};
    if (const auto& accuracy = summary.at("final_test_accuracy"); !accuracy.is_null())
      run.accuracy = accuracy.get<double>();
    if (summary.contains("personal_accuracy"))
      run.personal = summary.at("personal_accuracy").at("mean").get<double>();
    for (double budget : budgets) run.at_budgets.push_back(accuracy_at(rounds, 1e6 * budget));
    return run;
  } catch (const nlohmann::json::exception& error) {
    loru::fail<loru::DataError>(file.native(), ": expected a run's summary: ", error.what());
  }
}

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
    const auto diverged = diverged_runs(row);
    std::vector<std::string> line{
        row.name, row.algorithm,
        concat(row.runs.size(), diverged > 0 ? concat(" (", diverged, " diverged)") : std::string()),
        percent(over(row, &RunResult::accuracy)), percent(personal(row))};
    for (std::size_t i = 0; i < budgets_.size(); ++i) line.push_back(percent(at_budget(row, i)));
    line.push_back(fixed(over(row, &RunResult::uplink).mean, 1e-6, 1));
    line.push_back(fixed(over(row, &RunResult::downlink).mean, 1e-6, 1));
    line.push_back(fixed(over(row, &RunResult::seconds).mean, 1.0, 1));
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
    const Statistic accuracy = over(row, &RunResult::accuracy);
    std::vector<CsvField> fields{row.name,      row.algorithm,      row.runs.size(),   diverged_runs(row),
                                 accuracy.mean, accuracy.deviation, personal(row).mean};
    for (std::size_t i = 0; i < budgets_.size(); ++i) fields.emplace_back(at_budget(row, i).mean);
    for (double RunResult::* sum : sums) fields.emplace_back(over(row, sum).mean);
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
      std::vector<CsvField> fields{row.name,          row.algorithm, run.seed,    run.rounds,
                                   int(run.diverged), run.accuracy,  run.personal};
      for (const auto& accuracy : run.at_budgets) fields.emplace_back(accuracy);
      for (double RunResult::* sum : sums) fields.emplace_back(run.*sum);
      out.row(fields);
    }
}

}  // namespace federate
