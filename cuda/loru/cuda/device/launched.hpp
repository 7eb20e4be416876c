#pragma once
// What is asked after a kernel was started. LORU_CUDA_SYNC=1 in the environment waits for each kernel, and so
// names the one that failed.

#include <cuda_runtime.h>

#include <cstdlib>
#include <string_view>

#include <loru/cuda/error.hpp>

namespace loru::cuda {

namespace detail {

/// Whether each kernel is waited for.
inline bool& wait_for_kernels() {
  static bool on = [] {
    const char* value = std::getenv("LORU_CUDA_SYNC");
    return value && std::string_view(value) == "1";
  }();
  return on;
}

}  // namespace detail

/// Throws CudaError if the kernel `name` was refused, or if the device reports a failure: without waiting
/// that may be an earlier kernel's.
inline void check_launched(const char* name, cudaStream_t stream) {
  cudaError_t status = cudaGetLastError();
  const bool wait = detail::wait_for_kernels();
  if (status == cudaSuccess && wait) status = cudaStreamSynchronize(stream);
  if (status == cudaSuccess) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());
  throw CudaError(status, concat("cuda: kernel ", name, ": ", cudaGetErrorString(status),
                                 wait ? "" : ", here or in a kernel before it: LORU_CUDA_SYNC=1 names it"));
}

}  // namespace loru::cuda
