#pragma once
// The device as the CUDA runtime sees it: whether there is one, and what it is.

#include <string>

#include <cuda_runtime.h>

#include <loru/cuda/error.hpp>

namespace loru::cuda {

/// No CUDA device can be used: no driver, no device, or one that this CUDA version does not serve.
class NoDevice : public CudaError {
 public:
  using CudaError::CudaError;
};

/// True if a CUDA device can be used. Never throws.
inline bool available() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess && count > 0) return true;
  static_cast<void>(cudaGetLastError());
  return false;
}

/// Throws NoDevice with the runtime's reason unless a CUDA device can be used.
inline void require_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return;
  static_cast<void>(cudaGetLastError());
  const cudaError_t reason = status == cudaSuccess ? cudaErrorNoDevice : status;
  throw NoDevice(
      reason, concat("cuda: expected a CUDA device with its driver, got none: ", cudaGetErrorString(reason)));
}

/// What programs report about the current device.
struct DeviceProperties {
  std::string name;
  int major = 0, minor = 0, multiprocessors = 0;
  std::size_t memory = 0;  ///< bytes
};

/// Properties of the current device. Throws NoDevice, CudaError.
inline DeviceProperties device_properties() {
  require_device();
  int device = 0;
  LORU_CUDA_CHECK(cudaGetDevice(&device));
  cudaDeviceProp p;
  LORU_CUDA_CHECK(cudaGetDeviceProperties(&p, device));
  return {p.name, p.major, p.minor, p.multiProcessorCount, p.totalGlobalMem};
}

}  // namespace loru::cuda
