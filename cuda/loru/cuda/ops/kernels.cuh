#pragma once
// How ops start the low-rank kernels: tensors as the kernels' matrices, and the arithmetic that products have
// (see blas.hpp).

#include <loru/cuda/blas.hpp>
#include <loru/cuda/device.hpp>
#include <loru/cuda/kernels/compiled.cuh>

namespace loru::cuda::detail {

/// A matrix as the kernels see it.
template <class T>
Matrix<const T> view(const Array<T>& x) {
  return {x.data(), blas_extent(x.dim(0)), blas_extent(x.dim(1)), blas_extent(x.dim(1))};
}
template <class T>
Matrix<T> view(Array<T>& x) {
  return {x.data(), blas_extent(x.dim(0)), blas_extent(x.dim(1)), blas_extent(x.dim(1))};
}

/// start(Math) with the arithmetic of the precision.
template <class Start>
void with_math(const Start& start) {
  if (precision() == Precision::tf32)
    start(InTf32{});
  else
    start(InFloat{});
}

/// Stages of the K loops of a forward pass on this device.
inline int stages() { return forward_stages(device_shared_memory().multiprocessor); }

/// Bytes of shared memory that a block of this device may have.
inline std::size_t block_memory() { return device_shared_memory().block; }

}  // namespace loru::cuda::detail
