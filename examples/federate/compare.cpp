#include "compare.hpp"

#include <iostream>
#include <map>
#include <set>
#include <sstream>

#include <toml++/toml.h>

#include "comparison_table.hpp"
#include "cuda.hpp"
#include "federation.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::ConfigError, loru::concat, loru::require;

namespace {

// ---- the same clients, cohorts and evaluation ----

using Values = std::map<std::string, std::string>;

/// What has to agree between configurations of one seed, by key.
Values common_values(const Configuration& c) {
  const toml::table document = toml::parse(to_toml(c));
  Values values;
  for (const char* section : {"data", "partition", "task", "federation"}) {
    const toml::table* table = document[section].as_table();
    if (!table) continue;
    for (const auto& [key, node] : *table) {
      std::ostringstream text;
      node.visit([&](const auto& value) { text << value; });
      values[concat(section, '.', key.str())] = text.str();
    }
  }
  for (const char* own : {"federation.rounds", "federation.warmup_rounds", "federation.keep_best",
                          "federation.keep_rounds", "federation.stop_at"})
    values.erase(own);
  values["seed"] = std::to_string(c.seed);  // draws clients and cohorts
  return values;
}

void require_same_clients(const std::string& file, const Configuration& c, const std::string& first_file,
                          const Configuration& first) {
  const Values expected = common_values(first), got = common_values(c);
  const auto value = [](const Values& values, const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string("nothing") : found->second;
  };
  std::set<std::string> keys;
  for (const Values* values : {&expected, &got})
    for (const auto& [key, text] : *values) keys.insert(key);
  for (const std::string& key : keys)
    require<ConfigError>(value(expected, key) == value(got, key), "compare: ", file, ": ", key, ": expected ",
                         value(expected, key), " as in ", first_file, ", got ", value(got, key));
}

}  // namespace

ExitCode compare(const Comparison& comparison, const Overrides& overrides, const RunOptions& options) {
  const auto with_seed = [&](const std::string& file, std::optional<Index> seed) {
    Overrides own = overrides;
    if (seed) own.seed = seed;
    own.set.push_back("federation.aggregation_error=true");
    return read_configuration(file, own);
  };
  require_different(comparison.seeds, "compare");
  std::vector<std::optional<Index>> seeds(comparison.seeds.begin(), comparison.seeds.end());
  if (seeds.empty()) seeds.push_back(std::nullopt);

  std::vector<ComparisonRow> rows;
  for (const std::string& file : comparison.files) {
    const Configuration c = with_seed(file, seeds[0]);
    if (c.device == "cuda") require_cuda();
    require_same_clients(file, c, comparison.files[0], with_seed(comparison.files[0], seeds[0]));
    const std::string name = fs::path(file).stem().string();
    for (const ComparisonRow& row : rows)
      require<ConfigError>(row.name != name, "compare: expected configurations of different names, got ",
                           name, " twice");
    rows.push_back({name, c.algorithm, {}});
  }

  ExitCode code = success;
  for (std::size_t i = 0; i < rows.size() && code != interrupted; ++i)
    for (std::size_t s = 0; s < seeds.size() && code != interrupted; ++s) {
      Setup setup = set_up(with_seed(comparison.files[i], seeds[s]));
      loru::data::Partition parts = make_partition(setup);
      RunOptions own = options;
      own.out = (fs::path(options.out) / rows[i].name / concat("seed-", setup.configuration.seed)).string();
      const auto result = run_once(setup, std::move(parts), own, comparison.budgets);
      if (result) rows[i].runs.push_back(*result);
      if (!result || result->diverged) code = result ? failed_run : interrupted;
    }
  const ComparisonTable table(std::move(rows), comparison.budgets);
  const fs::path out = options.out;
  table.write_csv(out / "compare.csv");
  table.write_runs(out / "runs.csv");
  loru::io::write_file(out / "compare.md", table.markdown());
  if (!options.quiet) std::cout << table.markdown();
  return code;
}

}  // namespace federate
