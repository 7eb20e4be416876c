// The ops of the emulated device that take the compiler longest, instantiated once for all tests.
#include <loru/cuda/ops/lowrank_conv.cuh>

namespace loru::cuda {

LORU_LOWRANK_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_CONV_OPS(LORU_INSTANTIATE_OP, float, Cuda)

}  // namespace loru::cuda
