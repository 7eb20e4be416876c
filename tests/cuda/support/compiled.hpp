#pragma once
// The kernels' passes for one client. On the emulator they are compiled once, in support/kernels_*.cpp; nvcc
// finds those of float and tf32 in loru::compiled_cuda.
#include <loru/cuda/kernels/compiled.cuh>

#ifndef __CUDACC__
namespace loru::cuda {

LORU_CUDA_PASSES(extern, InBf16, __nv_bfloat16)

}  // namespace loru::cuda
#endif
