#pragma once
// The device as the CUDA runtime reports it.

#include <string>

#include <cuda_runtime.h>

#include <loru/cuda/device/rates.hpp>
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

/// Properties of the current device.
struct DeviceProperties {
  std::string name;
  int major = 0, minor = 0, multiprocessors = 0;
  std::size_t memory = 0, shared_per_multiprocessor = 0;  ///< bytes
  double clock = 0.0, bandwidth = 0.0;                    ///< a second: cycles, bytes of memory; at most

  /// Rates of float arithmetic, or of tf32 on tensor cores: operations that a multiprocessor starts in a
  /// cycle, by the tables of the CUDA programming guide, times cycles and multiprocessors.
  DeviceRates rates(bool tensor_cores) const {
    const double plain = major == 8 && minor == 0 ? 128.0 : 256.0, tensor = major >= 9 ? 2048.0 : 1024.0;
    return {multiprocessors * clock * (tensor_cores ? tensor : plain), bandwidth};
  }
};

namespace detail {

inline int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  LORU_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace detail

/// Properties of the current device. Throws NoDevice, CudaError.
inline DeviceProperties device_properties() {
  require_device();
  int device = 0;
  LORU_CUDA_CHECK(cudaGetDevice(&device));
  cudaDeviceProp p;
  LORU_CUDA_CHECK(cudaGetDeviceProperties(&p, device));
  const auto shared = detail::attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, device);
  const double kilohertz = detail::attribute(cudaDevAttrClockRate, device);
  const double memory_kilohertz = detail::attribute(cudaDevAttrMemoryClockRate, device);
  const double bus_bits = detail::attribute(cudaDevAttrGlobalMemoryBusWidth, device);
  return {p.name,           p.major,
          p.minor,          p.multiProcessorCount,
          p.totalGlobalMem, static_cast<std::size_t>(shared),
          1e3 * kilohertz,  2e3 * memory_kilohertz * bus_bits / 8.0};  // two transfers a clock
}

}  // namespace loru::cuda
