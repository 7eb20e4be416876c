#pragma once
// How ops start the low-rank kernels: tensors as the kernels' matrices, and the arithmetic that products have
// (see blas.hpp).

#include <map>
#include <utility>

#include <loru/cuda/blas.hpp>
#include <loru/cuda/device.hpp>
#include <loru/cuda/kernels/compiled.cuh>
#include <loru/cuda/ops/copy.cuh>

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

/// Memory for the pieces of sums of this thread's work on its current stream. It stays where it is, so that
/// recorded steps may use it.
inline Pieces pieces_of_sums() {
  static_assert(sizeof(float) == sizeof(std::int32_t) && sizeof(unsigned) == sizeof(std::int32_t));
  thread_local std::map<std::pair<int, cudaStream_t>, Array<std::int32_t>> all;
  const int multiprocessors = this_device().multiprocessors;
  const Index tickets = piece_tickets(multiprocessors);
  Array<std::int32_t>& memory = all[{current_device(), current_stream()}];
  if (!memory) {
    require_not_recording("memory for sums");
    Array<std::int32_t> fresh(Shape{tickets + piece_floats(multiprocessors)});
    for_each("fill", tickets, Fill<std::int32_t>{fresh.data(), 0});
    memory = std::move(fresh);
  }
  return {reinterpret_cast<float*>(memory.data() + tickets), reinterpret_cast<unsigned*>(memory.data())};
}

/// Where this thread starts the low-rank kernels.
inline Queue queue() {
  return {current_stream(), this_device().multiprocessors,
          forward_stages(device_shared_memory().multiprocessor), pieces_of_sums()};
}

/// Bytes of shared memory that a block of this device may have.
inline std::size_t block_memory() { return device_shared_memory().block; }

}  // namespace loru::cuda::detail
