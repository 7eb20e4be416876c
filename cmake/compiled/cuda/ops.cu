// Every op of the CUDA device in float, and copies of what batches are gathered from. kernels.cu has the
// fused kernels that they start.
#include <loru/cuda/cuda.cuh>

namespace loru::cuda {

LORU_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_SEQUENCE_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, double, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::int32_t, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::uint8_t, Cuda)

template void sgd_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const SgdStep&);
template void adam_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const AdamStep&);

}  // namespace loru::cuda
