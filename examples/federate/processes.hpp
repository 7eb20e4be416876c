#pragma once
// A run over several processes. mpi/present.cpp is built where MPI is found, else mpi/absent.cpp.

#include <optional>
#include <string>

#include "run.hpp"

namespace federate {

/// Processes that a launcher has started, and the variable of the environment that says so.
struct Launched {
  Index processes = 1;
  const char* variable = nullptr;
};

/// Nothing unless a launcher has started several.
std::optional<Launched> launched();

/// Whether this process is the first of those, by its launcher's count: the one that reports what goes wrong
/// before MPI has connected them.
bool first_launched();

/// What all processes of a launcher are refused for, thrown where the first of them says it.
class SaidByFirst : public loru::ConfigError {
 public:
  SaidByFirst() : ConfigError("started by a launcher of which the first process says what is wrong") {}
};

/// Throws ConfigError if a launcher has started several processes, which would all write the folder: on those
/// after the first SaidByFirst.
void require_one_process(const std::string& out);

/// run() with the processes of MPI's world. Process 0 is the server, writes the files and reports; the others
/// train and evaluate. Without `threads` each process has the cores that it may run on, divided by the
/// processes that share them. Throws as run() does, on process 0 alone.
ExitCode run_with_mpi(const std::string& file, const Overrides& overrides, RunOptions options,
                      std::optional<Index> threads);

}  // namespace federate
