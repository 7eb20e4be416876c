#pragma once
// federate report: what runs wrote, as one HTML page that needs nothing else.

#include <filesystem>
#include <string>
#include <vector>

namespace federate::report {

struct Options {
  std::vector<std::string> folders;  // of runs, comparisons, sweeps, spectra
  std::string out = {};              // empty: report.html in the first of them
};

/// Writes the page and returns its path. Throws loru::Error.
std::filesystem::path write(const Options& options);

}  // namespace federate::report
