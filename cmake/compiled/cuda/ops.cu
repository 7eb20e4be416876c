// Every op of the CUDA device in float, the kernels' passes that they start, and copies of what batches are
// gathered from.
#include <loru/cuda/cuda.cuh>
#include <loru/cuda/kernels/compiled.cuh>

namespace loru::cuda {

LORU_CUDA_PASSES(, InTf32, float)
LORU_CUDA_PASSES(, InFloat, float)

LORU_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, double, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::int32_t, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::uint8_t, Cuda)

template void sgd_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const SgdStep&);
template void adam_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const AdamStep&);

}  // namespace loru::cuda
