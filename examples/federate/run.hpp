#pragma once
// Training a federation from its first round to its files, and evaluating what was saved.

#include <string>

#include "configuration.hpp"

namespace federate {

/// What the command line says about a run besides its configuration.
struct RunOptions {
  std::string out = {};
  Index threads = 1;
  bool describe = false;
  bool quiet = false;
};

/// What a program exits with.
enum ExitCode : int { success = 0, failed_run = 1, bad_input = 2, interrupted = 130 };

/// Ctrl-C and SIGTERM ask for an end after the current round; a second one ends at once.
void catch_interrupts();

/// Trains and writes the run's files. Throws loru::Error while nothing is trained yet; later failures are reported.
ExitCode run(const Configuration& configuration, const RunOptions& options);

/// Prints accuracy and loss of the model saved in a run's folder. Throws loru::Error.
ExitCode evaluate(const std::string& folder, const Overrides& overrides, Index threads);

/// One line to stderr.
void report_error(const std::string& message);

}  // namespace federate
