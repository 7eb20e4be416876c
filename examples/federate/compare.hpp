#pragma once
// Several federations over the same clients, side by side.

#include <string>
#include <vector>

#include "run.hpp"

namespace federate {

/// What the command line says about a comparison.
struct Comparison {
  std::vector<std::string> files;          // configurations, named by their file names
  std::vector<Index> seeds;                // each configuration runs with each; empty: its own
  std::vector<double> budgets{5, 20, 60};  // MB (10^6 bytes) of uplink at which accuracy is read
};

/// Runs every configuration with every seed into OUT/<name>/seed-<seed>, prints one table, and writes it as
/// OUT/compare.csv and OUT/compare.md, and a line a run as OUT/runs.csv. A complete run of the same
/// configuration that is there already is not run again. Throws ConfigError if two configurations differ in
/// their data, clients, cohorts or evaluation, or in their seeds where none are given, or have one name, and
/// for a seed given twice. After Ctrl-C the table holds the finished runs.
ExitCode compare(const Comparison& comparison, const Overrides& overrides, const RunOptions& options);

}  // namespace federate
