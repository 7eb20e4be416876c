// Kernels that the static checks must refuse. The names are those of kernels with expectations.
#include <cuda_bf16.h>

namespace loru::cuda {

struct InFloat {};

/// A stack frame: an array indexed at run time.
__global__ void stack_kernel(float* y, int n) {
  float kept[64];
  for (int i = 0; i < 64; ++i) kept[i] = y[i * n];
  for (int i = 0; i < n; ++i) y[i] = kept[(i * 7) % 64] + kept[y[i] > 0 ? i % 64 : 3];
}

/// Atomics: sums in no order.
__global__ void atomic_kernel(float* y, const float* x) { atomicAdd(y, x[threadIdx.x]); }

/// Too few multiply-adds in the main loop, and plain loads instead of asynchronous copies.
template <class Math, int Rows, int Cols, bool Aligned, class Products>
__global__ void products_down_kernel(Products y, const float* x, int n) {
  float sum = 0.0f;
#pragma unroll 1
  for (int i = 0; i < n; ++i) sum = fmaf(x[i], x[i + n], sum);
  y[threadIdx.x] = sum;
}
template __global__ void products_down_kernel<InFloat, 128, 128, true, float*>(float*, const float*, int);

}  // namespace loru::cuda
