#include "cuda/support/compiled.hpp"

namespace loru::cuda {

LORU_CUDA_PASSES(, InFloat, float)

}  // namespace loru::cuda
