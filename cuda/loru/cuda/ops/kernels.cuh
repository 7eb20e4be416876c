#pragma once
// How ops start the low-rank kernels: tensors as the kernels' matrices, and the arithmetic that this thread's
// products have (see blas.hpp).

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

/// The device does not change while the process runs.
inline const DeviceProperties& this_device() {
  static const DeviceProperties p = device_properties();
  return p;
}

/// start(Math) with the arithmetic of this thread's precision.
template <class Start>
void with_math(const Start& start) {
  if (blas().precision() == Precision::tf32)
    start(InTf32{});
  else
    start(InFloat{});
}

/// Stages of the K loops of a forward pass on this device.
inline int stages() { return forward_stages(this_device().shared_per_multiprocessor); }

}  // namespace loru::cuda::detail
