#pragma once
// One federation with all combinations of some keys' values.

#include <string>
#include <vector>

#include "run.hpp"

namespace federate {

/// What the command line says about a sweep.
struct Sweep {
  std::vector<std::string> keys;  // "KEY=V1,V2,..."
  std::vector<Index> seeds;       // each point of the grid runs with each; empty: the configuration's
  std::string select;             // "best", or nothing
};

/// Runs the configuration at every point of the grid with every seed into
/// OUT/<key=value,...>/seed-<seed>, prints one table, and writes it as OUT/sweep.csv and OUT/sweep.md, and a
/// line a run as OUT/runs.csv. A complete run of the same configuration that is there already is not run
/// again; one that diverges is a row. With select "best" the point of the best mean validation metric is
/// written as the configuration OUT/best.toml. After Ctrl-C the table holds the finished runs. Throws
/// ConfigError before anything is run, for any point of the grid.
ExitCode sweep(const std::string& file, const Sweep& sweep, const Overrides& overrides,
               const RunOptions& options);

}  // namespace federate
