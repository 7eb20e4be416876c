#include "run.hpp"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "cuda.hpp"
#include "describe.hpp"
#include "training.hpp"

namespace federate {

const std::chrono::steady_clock::time_point program_start = std::chrono::steady_clock::now();
volatile std::sig_atomic_t stop_wanted = 0;

namespace {

extern "C" void want_stop(int) { stop_wanted = 1; }

/// Ctrl-C and SIGTERM ask for an end after the current round; a second one ends the program at once.
void catch_interrupts() {
  struct ::sigaction action{};
  action.sa_handler = want_stop;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool on_cuda(const Configuration& c) { return c.device == "cuda"; }

}  // namespace

ExitCode run(const std::string& file, const Overrides& overrides, const RunOptions& options) {
  const Configuration configuration = read_configuration(file, overrides);
  if (options.explain) {
    explain(std::cout, set_up_shapes(configuration));
    return success;
  }
  if (on_cuda(configuration) && !options.describe) require_cuda();
  Setup setup = set_up(configuration);
  loru::data::Partition parts = make_partition(setup);
  if (options.describe) {
    describe(std::cout, setup, parts);
    return success;
  }
  return train(setup, std::move(parts), options);
}

ExitCode train(Setup& setup, loru::data::Partition parts, const RunOptions& options) {
  catch_interrupts();
  return on_cuda(setup.configuration) ? train_on_cuda(setup, std::move(parts), options)
                                      : train_on<loru::Cpu>(setup, std::move(parts), options);
}

ExitCode evaluate(const std::string& folder, const Overrides& overrides, Index threads) {
  const std::filesystem::path path = folder;
  const Configuration configuration = read_configuration((path / "config.toml").string(), overrides);
  if (on_cuda(configuration)) require_cuda();
  Setup setup = set_up(configuration);
  loru::io::load(setup.model, path / "model.safetensors");
  const loru::train::Evaluation test =
      on_cuda(configuration) ? evaluate_on_cuda(setup) : evaluate_on<loru::Cpu>(setup, threads);
  std::cout << "accuracy " << loru::io::CsvField(test.accuracy).quoted() << "\nloss "
            << loru::io::CsvField(test.loss).quoted() << '\n';
  return success;
}

void report_error(const std::string& message) {
  std::string line = message;
  std::replace(line.begin(), line.end(), '\n', ' ');
  std::fprintf(stderr, "federate: %s\n", line.c_str());
}

}  // namespace federate
