#pragma once
// Runs and comparisons from Python.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "listener.hpp"
#include "model.hpp"

namespace loru_python {

/// What Python asks of a run: a configuration as TOML text or as a file, and the command line's options.
struct RunRequest {
  std::optional<std::string> text, file;
  std::string out;
  std::optional<Index> threads;
  federate::Overrides overrides;
  py::object on_round;
};

/// What Python gets of a run.
struct RunResult {
  federate::Ending ending;
  py::object rows;       // column by column
  py::object exception;  // that ended the run: Ctrl-C, or what on_round raised; or None
  std::shared_ptr<Model> model;
  std::string configuration;  // in TOML
};

RunResult run(const RunRequest& request);

/// federate --compare, without its table on the terminal. What ended it early is in `ending` and `exception`.
RunResult compare(const std::vector<std::string>& files, const std::vector<Index>& seeds,
                  const std::vector<double>& budgets, const RunRequest& request);

}  // namespace loru_python
