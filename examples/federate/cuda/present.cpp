#include "../cuda.hpp"

#include <loru/cuda/cuda.hpp>

#include "../training.hpp"

namespace federate {

using loru::cuda::Cuda;

void require_cuda() { loru::cuda::require_device(); }

Planner make_cuda_planner(const Configuration& configuration) { return make_planner<Cuda>(configuration); }

ExitCode train_on_cuda(Setup& setup, loru::data::Partition parts, const RunOptions& options) {
  return train_on<Cuda>(setup, std::move(parts), options);
}

loru::train::Evaluation evaluate_on_cuda(Setup& setup) { return evaluate_on<Cuda>(setup, 1); }

}  // namespace federate
