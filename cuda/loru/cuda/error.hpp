#pragma once
// Failures of the CUDA runtime as exceptions.
#include <cuda_runtime.h>

#include <string>
#include <loru/core/error.hpp>

namespace loru::cuda {

/// A CUDA call that failed: the call, the runtime's words for it, file and line.
class CudaError : public Error {
 public:
  CudaError(cudaError_t code, const std::string& what) : Error(what), code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

/// Throws CudaError unless status is cudaSuccess. The runtime then forgets the failure: it would blame the
/// next launch for it.
inline void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) [[likely]]
    return;
  static_cast<void>(cudaGetLastError());
  throw CudaError(status, concat(call, ": ", cudaGetErrorString(status), " (", file, ":", line, ")"));
}

}  // namespace loru::cuda

/// Every call of the CUDA runtime goes through this.
#define LORU_CUDA_CHECK(...) ::loru::cuda::check((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
