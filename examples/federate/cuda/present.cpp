#include "../cuda.hpp"

#include <loru/cuda/cuda.hpp>

#include "../training.hpp"

namespace federate {

using loru::cuda::Cuda;

void require_cuda(const Configuration& c) {
  const int count = loru::cuda::device_count();
  loru::require<loru::ConfigError>(c.device_index < count, "device.index: expected at most ", count - 1,
                                   ", the last of ", count, " devices, got ", c.device_index);
  loru::cuda::use_device(static_cast<int>(c.device_index));
  loru::cuda::set_precision(c.precision == Precision::tf32 ? loru::cuda::Precision::tf32
                                                           : loru::cuda::Precision::full);
}

Planner make_cuda_planner(const Configuration& configuration) {
  if (loru::cuda::available()) require_cuda(configuration);  // rates are the device's
  return make_planner<Cuda>(configuration);
}

ExitCode train_on_cuda(Setup& setup, loru::data::Partition parts, const RunOptions& options) {
  require_cuda(setup.configuration);
  return train_on<Cuda>(setup, std::move(parts), options);
}

loru::train::Evaluation evaluate_on_cuda(Setup& setup) {
  require_cuda(setup.configuration);
  return evaluate_on<Cuda>(setup, 1);
}

}  // namespace federate
