#pragma once
// A run's model for other software: an adapter in PEFT's format, or all weights with the updates merged in.

#include <optional>
#include <string>

#include "federation.hpp"

namespace federate {

/// Options of federate export; what is not given is not written.
struct Export {
  std::string folder;
  std::optional<std::string> peft, merged;
};

/// Writes the model of a run's folder, merged weights first. An adapter is relative to the weights that the
/// run began with: the factors of all merges and the present ones are stacked. Throws ConfigError where the
/// weights were changed otherwise and for a target that the run needs, and loru::Error.
ExitCode export_model(const Export& options, const Overrides& overrides);

/// Writes the factors of a model as an adapter to its present weights. Throws ConfigError where a layer is
/// not W + s·B·A, and loru::Error.
void save_adapter(const std::string& folder, const Configuration& configuration, Model& model);

}  // namespace federate
