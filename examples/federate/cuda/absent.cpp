#include "../cuda.hpp"

namespace federate {

void require_cuda() {
  loru::fail<loru::ConfigError>(
      "device: expected \"cpu\", got \"cuda\": this program was built without a CUDA toolkit (12 or later)");
}

Planner make_cuda_planner(const Configuration&) {
  require_cuda();
  return {};
}

ExitCode train_on_cuda(Setup&, loru::data::Partition, const RunOptions&) {
  require_cuda();
  return bad_input;
}

loru::train::Evaluation evaluate_on_cuda(Setup&) {
  require_cuda();
  return {};
}

}  // namespace federate
