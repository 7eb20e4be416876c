#include <loru/core/error.hpp>

#include "../processes.hpp"

namespace federate {

ExitCode run_with_mpi(const std::string&, const Overrides&, RunOptions, std::optional<Index>) {
  loru::fail<loru::ConfigError>("--executor mpi: built without MPI (LORU_WITH_MPI)");
}

}  // namespace federate
