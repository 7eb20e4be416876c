#pragma once
// federate spectrum: the curvature of the loss on the server's and the clients' data.

#include <optional>
#include <string>
#include <vector>

#include "run.hpp"

namespace federate {

/// What the command line says of a measurement.
struct SpectrumOptions {
  std::string source;  // a configuration, whose model is measured before its first round, or a run's folder
  std::vector<Index> rounds = {};   // of a run; empty: its last
  std::vector<Index> samples = {};  // that each client has; empty: all of its own
  std::optional<Index> clients = {};
  std::vector<std::string> operators{"hessian"};
  std::vector<std::string> layers = {};  // whose blocks are measured besides the whole
  double tolerance = 5e-3;
  bool span = false;
  bool batch_statistics = false;
};

/// Words for --operator.
const std::vector<std::string>& curvature_names();

/// runs/NAME-spectrum for a configuration NAME.toml, RUN/spectrum for a run's folder.
std::string default_spectrum_folder(const std::string& source);

/// Measures the operator on the data of each client and of all of them, and writes OUT/spectrum.csv,
/// density.csv, span.csv where it is wanted, and summary.md, which it prints. What an interrupted
/// measurement has written is not measured again. Throws loru::Error.
ExitCode measure_spectrum(const SpectrumOptions& options, const Overrides& overrides, const RunOptions& run);

}  // namespace federate
