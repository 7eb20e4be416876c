#include <loru/cuda/kernels/compiled.cuh>

namespace loru::cuda {

LORU_CUDA_PASSES(, InBf16, __nv_bfloat16)

}  // namespace loru::cuda
