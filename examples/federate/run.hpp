#pragma once
// Training a federation from its first round to its files, and evaluating what was saved.

#include <chrono>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <loru/data/partition/common.hpp>
#include <loru/fl/simulation/executor.hpp>

namespace federate {

using loru::Index;

/// What the command line changes in a configuration file.
struct Overrides {
  std::vector<std::string> set;    // "key.path=value"
  std::vector<std::string> sweep;  // the same, of a sweep's grid point; goes over `set`
  std::optional<Index> seed;
  std::optional<std::string> data_dir;
  std::optional<std::string> device;
};

struct Resumption;
class Listener;
struct Configuration;

/// The command line's options of a run besides its configuration.
struct RunOptions {
  std::string out = {};  // the run's folder; empty: no files
  /// Rounds between two checkpoints; 0: none. If not given, those of the run that goes on, or none.
  std::optional<Index> checkpoint_every = {};
  bool resumes = false;                      // goes on with the run in `out`, whose configuration it has
  std::shared_ptr<Resumption> resumption{};  // what it goes on from; none: a run of its own
  Index threads = 1;
  bool describe = false;
  bool explain = false;
  bool quiet = false;
  std::shared_ptr<loru::fl::Executor> executor = {};  // none: threads of this process
  std::shared_ptr<Listener> listener = {};            // who gets the run in place of the terminal; or none
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

/// Not zero if the work is to end at the next good place.
extern volatile std::sig_atomic_t stop_wanted;

/// Ctrl-C and SIGTERM set stop_wanted; a second one ends the program at once.
void catch_interrupts();

/// Exit codes of the program.
enum ExitCode : int { success = 0, failed_run = 1, bad_input = 2, interrupted = 130 };

/// Trains what a configuration file describes, or goes on with a run, and writes its files. Throws
/// loru::Error while nothing is trained yet; later failures are reported. Ctrl-C and SIGTERM end it after the
/// current round; a second one ends it at once.
ExitCode run(const std::string& file, const Overrides& overrides, RunOptions options);

/// The same for a configuration that has been read.
ExitCode run(const Configuration& configuration, const RunOptions& options);

struct Setup;

/// The same for a setup and its clients. With a listener signals are the caller's, and what goes wrong is
/// thrown.
ExitCode train(Setup& setup, loru::data::Partition parts, const RunOptions& options);

/// Throws what train() would throw before its first round, but for the output folder; writes nothing.
void check(Setup& setup, loru::data::Partition parts);

/// Prints metrics and loss of the model saved in a run's folder. Throws loru::Error.
ExitCode evaluate(const std::string& folder, Overrides overrides, Index threads);

/// Options of federate predict.
struct Prediction {
  std::string folder, data, out;
};

/// Writes the outputs of a run's model for the samples x of a safetensors file: y (N, k) as safetensors, or a
/// table for a name that ends in .csv. The run's own data give shapes and normalisation. Throws loru::Error.
ExitCode predict(const Prediction& prediction, const Overrides& overrides, Index threads);

/// One line to stderr.
void report_error(const std::string& message);

}  // namespace federate
