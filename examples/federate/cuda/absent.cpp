#include "../cuda.hpp"

namespace federate {

void require_cuda(const Configuration&) {
  loru::fail<loru::ConfigError>(
      "device.name: expected \"cpu\", got \"cuda\": this program was built without a CUDA toolkit (12 or "
      "later)");
}

Planner make_cuda_planner(const Configuration& configuration) {
  require_cuda(configuration);
  return {};
}

ExitCode train_on_cuda(Setup& setup, loru::data::Partition, const RunOptions&) {
  require_cuda(setup.configuration);
  return bad_input;
}

loru::train::Evaluation evaluate_on_cuda(Setup& setup) {
  require_cuda(setup.configuration);
  return {};
}

}  // namespace federate
