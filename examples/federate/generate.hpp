#pragma once
// What a trained decoder says.

#include <string>

#include <loru/train/generate.hpp>

#include "run.hpp"

namespace federate {

/// Options of federate generate.
struct Generation {
  std::string folder, prompt;
  loru::train::GenerateOptions options;
};

/// Prints the prompt and what the model of a run's folder goes on with, as it is drawn. Ends with the
/// tokenizer's end of a text, if it has one, or at the longest text that the model takes. Ctrl-C ends it
/// after a token. Throws loru::Error.
ExitCode generate(const Generation& generation, const Overrides& overrides);

}  // namespace federate
