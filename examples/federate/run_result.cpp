#include "run_result.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>
#include <loru/io/csv.hpp>

#include "output.hpp"
#include "resume.hpp"

namespace federate {

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

/// Numbers by layer; null, which stands for what is not finite, is left out.
LayerValues layer_values(const nlohmann::json& summary, const char* key) {
  LayerValues values;
  if (!summary.contains(key)) return values;
  for (const auto& [layer, value] : summary.at(key).items())
    if (!value.is_null()) values[layer] = value.get<double>();
  return values;
}

/// The numbers whose names begin with "final_", without that.
std::map<std::string, double> read_finals(const nlohmann::json& summary) {
  const std::string prefix = "final_";
  std::map<std::string, double> values;
  for (const auto& [name, value] : summary.items())
    if (name.starts_with(prefix) && value.is_number()) values[name.substr(prefix.size())] = value;
  return values;
}

}  // namespace

RunResult read_run(const std::filesystem::path& folder, const std::vector<double>& budgets) {
  const std::filesystem::path file = folder / "summary.json";
  loru::io::CsvTable rounds;
  if (!budgets.empty()) rounds = loru::io::read_csv(folder / "rounds.csv");
  try {
    const auto summary = nlohmann::json::parse(loru::io::read_text(file));
    RunResult run{.seed = summary.at("seed"),
                  .rounds = summary.at("rounds"),
                  .merges = summary.at("merges"),
                  .diverged = summary.contains("diverged"),
                  .stopped = summary.contains("stopped_after"),
                  .seconds = summary.at("train_seconds"),
                  .uplink = summary.at("uplink_bytes"),
                  .downlink = summary.at("downlink_bytes"),
                  .final_values = read_finals(summary),
                  .personal = {},
                  .at_budgets = {},
                  .aggregation_error = layer_values(summary, "aggregation_error"),
                  .update_rank = layer_values(summary, "update_rank")};
    if (summary.contains("personal_accuracy"))
      run.personal = summary.at("personal_accuracy").at("mean").get<double>();
    for (double budget : budgets) run.at_budgets.push_back(accuracy_at(rounds, 1e6 * budget));
    return run;
  } catch (const nlohmann::json::exception& error) {
    loru::fail<loru::DataError>(file.native(), ": expected a run's summary: ", error.what());
  }
}

bool reached_its_end(const std::filesystem::path& folder, Index rounds) {
  if (!std::filesystem::exists(folder / "summary.json")) return false;
  try {
    const RunResult run = read_run(folder, {});
    return run.rounds == rounds || run.stopped || run.diverged;
  } catch (const loru::DataError&) {
    return false;
  }
}

bool finished(const std::filesystem::path& folder, const Setup& setup) {
  const std::filesystem::path configuration = folder / "config.toml";
  return std::filesystem::exists(configuration) && loru::io::read_text(configuration) == config_text(setup) &&
         reached_its_end(folder, setup.configuration.rounds);
}

std::optional<RunResult> run_once(Setup& setup, loru::data::Partition parts, const RunOptions& options,
                                  const std::vector<double>& budgets) {
  if (!finished(options.out, setup)) {
    RunOptions own = options;
    own.resumption = resumption_of(options.out, setup);
    if (train(setup, std::move(parts), own) == interrupted) return std::nullopt;
  }
  return read_run(options.out, budgets);
}

void require_different(const std::vector<Index>& seeds, const std::string& where) {
  for (auto seed = seeds.begin(); seed != seeds.end(); ++seed)
    loru::require<loru::ConfigError>(std::count(seeds.begin(), seed, *seed) == 0, where,
                                     ": seeds: expected different ones, got ", *seed, " twice");
}

Index diverged_runs(const RunResults& runs) {
  return std::count_if(runs.begin(), runs.end(), [](const RunResult& run) { return run.diverged; });
}

std::string count_text(const RunResults& runs) {
  const Index diverged = diverged_runs(runs);
  return loru::concat(runs.size(), diverged > 0 ? loru::concat(" (", diverged, " diverged)") : std::string());
}

}  // namespace federate
