#pragma once
// federate ls: the runs in folders, with their figures.

#include <string>
#include <vector>

#include "run.hpp"

namespace federate {

struct Listing {
  std::vector<std::string> folders;  // none: runs
  bool json = false, csv = false;    // neither: a table for a person
};

/// Prints a line a run. Throws ConfigError for a folder that is not there.
ExitCode list_runs(const Listing& listing);

}  // namespace federate
