#include "cuda/support/compiled.hpp"

namespace loru::cuda {

LORU_CUDA_PASSES(, InTf32, float)

}  // namespace loru::cuda
