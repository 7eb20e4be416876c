#include "cuda/support/compiled.hpp"

namespace loru::cuda {

LORU_CUDA_PASSES(, InBf16, __nv_bfloat16)

}  // namespace loru::cuda
