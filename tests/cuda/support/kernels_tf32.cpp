#include <loru/cuda/kernels/compiled.cuh>

namespace loru::cuda {

LORU_CUDA_PASSES(, InTf32, float)

}  // namespace loru::cuda
