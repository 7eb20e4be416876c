#pragma once
// A run inside another program, which gets in memory what federate prints and writes.

#include <string>

#include "output.hpp"

namespace federate {

/// A run at its end.
struct Ending {
  ExitCode code = success;
  std::string problem = {};  // what went wrong or why it stopped, as federate prints it; empty for success
  std::string summary = {};  // the content of summary.json
};

class Listener {
 public:
  virtual ~Listener() = default;

  /// After each round, on the thread that runs the federation. Where it returns false the run ends, as after
  /// Ctrl-C.
  virtual bool round(const Setup& setup, const loru::fl::Round& round) = 0;

  /// At the end, with the model as model.safetensors has it.
  virtual void finished(const Setup& setup, const Model& model, const Ending& ending) = 0;
};

}  // namespace federate
