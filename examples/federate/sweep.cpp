#include "sweep.hpp"

#include <algorithm>
#include <iostream>

#include <loru/io/file.hpp>

#include "cuda.hpp"
#include "lock.hpp"
#include "output.hpp"
#include "run_folder.hpp"
#include "sweep_table.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::ConfigError, loru::concat, loru::require;

namespace {

/// Reads the configurations of a grid's points.
class Points {
 public:
  Points(std::string file, Overrides overrides, Grid points)
      : grid{std::move(points)}, file_{std::move(file)}, overrides_{std::move(overrides)} {
    for (const std::string& key : grid.keys()) {
      require<ConfigError>(key != "seed", "--sweep: seed: seeds are given by --seeds");
      for (const std::string& assignment : overrides_.set)
        require<ConfigError>(!assignment.starts_with(key + '='), "--sweep: ", key, ": --set gives it too");
    }
  }

  /// The configuration of a point, with another seed if there is one.
  Configuration operator()(std::size_t point, std::optional<Index> seed = {}) const {
    Overrides own = overrides_;
    own.sweep = grid.assignments(point);
    if (seed) own.seed = seed;
    return read_configuration(file_, own);
  }

  const Grid grid;

 private:
  std::string file_;
  Overrides overrides_;
};

/// Throws ConfigError if two values of a key give one configuration at every point: they are equal, or the
/// key is of another algorithm, or the command line overrides it.
void require_effect(const Grid& grid, const std::vector<std::string>& configurations) {
  for (std::size_t axis = 0; axis < grid.axes().size(); ++axis) {
    const Axis& a = grid.axes()[axis];
    for (std::size_t i = 0; i < a.values.size(); ++i)
      for (std::size_t j = i + 1; j < a.values.size(); ++j) {
        bool differ = false;
        for (std::size_t point = 0; point < grid.size(); ++point)
          if (grid.place(point, axis) == i)
            differ |= configurations[point] != configurations[point + (j - i) * grid.stride(axis)];
        require<ConfigError>(differ, "--sweep: ", a.key, ": expected values that make a difference, got ",
                             a.values[i].text, " and ", a.values[j].text,
                             ", which give the same configuration");
      }
  }
}

/// Throws ConfigError if the points have validation sets of their own, which metrics do not compare across.
void require_one_validation_set(const Grid& grid) {
  for (const std::string& key : grid.keys())
    require<ConfigError>(!key.starts_with("data."), "--select: ", key,
                         ": expected a sweep over other keys than those of data, whose points have "
                         "validation sets of their own");
}

/// The metric that points are compared by. Throws what any point's configuration is refused for.
loru::train::Metric checked(const Points& points, const Sweep& sweep) {
  std::vector<Configuration> all;
  std::vector<std::string> texts;
  for (std::size_t point = 0; point < points.grid.size(); ++point) {
    const Configuration& c = all.emplace_back(points(point));
    texts.push_back(to_toml(c));
    require<ConfigError>(c.task == all[0].task, "--sweep: expected one task, got ", all[0].task, " and ",
                         c.task);
    require<ConfigError>(sweep.select.empty() || c.validation > 0.0,
                         "--select: data.validation: expected a number in (0, 1) to choose by, got 0");
  }
  if (!sweep.select.empty()) require_one_validation_set(points.grid);
  require_effect(points.grid, texts);
  require_different(sweep.seeds, "--sweep");
  for (std::size_t point = 0; point < all.size(); ++point) {
    if (all[point].device == "cuda") require_cuda(all[point]);
    const std::optional<Index> seed = sweep.seeds.empty() ? std::nullopt : std::optional(sweep.seeds[0]);
    Setup setup = set_up(points(point, seed));
    loru::data::Partition parts = make_partition(setup);
    check(setup, std::move(parts));
  }
  return metrics(all[0])[0];
}

/// The results of all points, up to an interruption.
std::vector<RunResults> run_all(const Points& points, const Sweep& sweep, const RunOptions& options,
                                ExitCode& code) {
  std::vector<std::optional<Index>> seeds(sweep.seeds.begin(), sweep.seeds.end());
  if (seeds.empty()) seeds.push_back(std::nullopt);
  std::vector<RunResults> results(points.grid.size());
  for (std::size_t run = 0; run < results.size() * seeds.size() && code == success; ++run) {
    const std::size_t point = run / seeds.size();
    Setup setup = set_up(points(point, seeds[run % seeds.size()]));
    loru::data::Partition parts = make_partition(setup);
    const std::string name = concat(points.grid.name(point), "/seed-", setup.configuration.seed);
    RunOptions own = options;
    own.out = (fs::path(options.out) / name).string();
    if (!options.quiet)
      std::cout << "run " << run + 1 << " of " << results.size() * seeds.size() << ": " << name
                << (finished(own.out, setup) ? ", which is there\n" : "\n") << std::flush;
    if (const auto result = run_once(setup, std::move(parts), own))
      results[point].push_back(*result);
    else
      code = interrupted;
  }
  return results;
}

/// Writes the best point's configuration.
ExitCode select(const Points& points, const SweepTable& table, const RunOptions& options) {
  const std::optional<std::size_t> best = table.best();
  if (!best) {
    report_error("--select: every point of the grid has a run that diverged");
    return failed_run;
  }
  const std::string file = (fs::path(options.out) / "best.toml").string();
  const std::string chosen = concat(points.grid.name(*best), ": ", table.validation_text(*best));
  loru::io::write_file(file,
                       concat("# Chosen by federate --sweep: ", chosen,
                              "\n# With data.validation = 0 a run trains on the validation samples too.\n\n",
                              to_toml(points(*best))));
  if (!options.quiet) std::cout << "best: " << chosen << ", written to " << file << '\n';
  return success;
}

}  // namespace

ExitCode sweep(const std::string& file, const Sweep& sweep, const Overrides& overrides,
               const RunOptions& options) {
  const Points points(file, overrides, Grid(sweep.keys));
  const loru::train::Metric metric = checked(points, sweep);
  const fs::path out = options.out;
  require<ConfigError>(!fs::exists(out / "best.toml") || !fs::equivalent(out / "best.toml", file),
                       "--sweep: expected another --out than the folder of ", file,
                       ", which the sweep would remove");
  require_no_run(out, "--sweep");
  const FolderLock lock(out, "--sweep");
  for (const char* name : {"sweep.md", "sweep.csv", "runs.csv", "best.toml"}) remove_earlier(out / name);
  ExitCode code = success;
  std::vector<RunResults> results = run_all(points, sweep, options, code);
  bool validated = false;
  for (std::size_t point = 0; point < points.grid.size(); ++point)
    validated |= points(point).validation > 0.0;
  const SweepTable table(points.grid, metric, validated, std::move(results));
  table.write_csv(out / "sweep.csv");
  table.write_runs(out / "runs.csv");
  loru::io::write_file(out / "sweep.md", table.markdown());
  if (!options.quiet) std::cout << table.markdown();
  return code == success && !sweep.select.empty() ? select(points, table, options) : code;
}

}  // namespace federate
