#include <loru/cuda/kernels/compiled.cuh>

namespace loru::cuda {

LORU_CUDA_PASSES(, InFloat, float)

}  // namespace loru::cuda
