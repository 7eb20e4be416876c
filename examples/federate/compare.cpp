#include "compare.hpp"

#include <iostream>

#include "comparison_table.hpp"
#include "cuda.hpp"
#include "federation.hpp"
#include "lock.hpp"
#include "run_folder.hpp"
#include "settings.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::ConfigError, loru::concat, loru::require;

namespace {

// ---- the same clients, cohorts and evaluation ----

/// What has to agree between configurations of one seed, by key. The seed draws clients and cohorts.
Settings common_settings(const Configuration& c) {
  Settings settings = settings_of(c);
  std::erase_if(settings,
                [](const auto& setting) { return !has_to_agree(setting.first) && setting.first != "seed"; });
  return settings;
}

void require_same_clients(const std::string& file, const Configuration& c, const std::string& first_file,
                          const Configuration& first) {
  require_equal(common_settings(first), first_file, common_settings(c), concat("compare: ", file));
}

}  // namespace

ExitCode compare(const Comparison& comparison, const Overrides& overrides, const RunOptions& options) {
  const auto with_seed = [&](const std::string& file, std::optional<Index> seed) {
    Overrides own = overrides;
    if (seed) own.seed = seed;
    own.set.emplace_back("federation.aggregation_error=true");
    return read_configuration(file, own);
  };
  require_different(comparison.seeds, "compare");
  std::vector<std::optional<Index>> seeds(comparison.seeds.begin(), comparison.seeds.end());
  if (seeds.empty()) seeds.push_back(std::nullopt);

  std::vector<ComparisonRow> rows;
  for (const std::string& file : comparison.files) {
    const Configuration c = with_seed(file, seeds[0]);
    if (c.device == "cuda") require_cuda(c);
    require_same_clients(file, c, comparison.files[0], with_seed(comparison.files[0], seeds[0]));
    const std::string name = fs::path(file).stem().string();
    for (const ComparisonRow& row : rows)
      require<ConfigError>(row.name != name, "compare: expected configurations of different names, got ",
                           name, " twice");
    rows.push_back({name, c.algorithm, {}});
  }

  require_no_run(options.out, "compare");
  const FolderLock lock(options.out, "compare");
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
