#pragma once
// The device as the CUDA runtime reports it, and which one a process uses.
//
// A process uses one device: that of use_device, or else the runtime's own choice, the first of those that
// CUDA_VISIBLE_DEVICES names. Threads follow it.

#include <atomic>
#include <map>
#include <mutex>
#include <string>

#include <cuda_runtime.h>

#include <loru/cuda/device/rates.hpp>
#include <loru/cuda/error.hpp>
#include <loru/cuda/rates.hpp>

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

/// How many devices CUDA_VISIBLE_DEVICES leaves. Throws NoDevice with the runtime's reason if none can be
/// used.
inline int device_count() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  static_cast<void>(cudaGetLastError());
  const cudaError_t reason = status == cudaSuccess ? cudaErrorNoDevice : status;
  throw NoDevice(
      reason, concat("cuda: expected a CUDA device with its driver, got none: ", cudaGetErrorString(reason)));
}

/// Throws NoDevice unless a CUDA device can be used.
inline void require_device() { static_cast<void>(device_count()); }

namespace detail {

/// The device that use_device chose; below zero: none.
inline std::atomic<int>& chosen_device() {
  static std::atomic<int> index{-1};
  return index;
}

}  // namespace detail

/// Makes the index-th device of those that CUDA_VISIBLE_DEVICES leaves the one of this process, for all its
/// threads; tensors of another one are of no use from then on. Throws NoDevice, and ConfigError for an index
/// that no device has.
inline void use_device(int index) {
  const int count = device_count();
  require<ConfigError>(index >= 0 && index < count, "cuda: expected a device from 0 to ", count - 1, ", got ",
                       index);
  LORU_CUDA_CHECK(cudaSetDevice(index));
  detail::chosen_device() = index;
}

/// The device of this thread's work: the process's, unless the thread has called cudaSetDevice since. Throws
/// NoDevice.
inline int current_device() {
  thread_local int followed = -2;  // the choice that this thread follows; none yet
  if (const int chosen = detail::chosen_device(); chosen != followed) {
    require_device();
    if (chosen >= 0) LORU_CUDA_CHECK(cudaSetDevice(chosen));
    followed = chosen;
  }
  int device = 0;
  const cudaError_t status = cudaGetDevice(&device);
  if (status != cudaSuccess) require_device();
  LORU_CUDA_CHECK(status);
  return device;
}

namespace detail {

/// The T of the current device, made there when it is first asked for. Never destroyed: static tensors may be
/// released after main has returned.
template <class T>
T& on_this_device() {
  struct All {
    std::mutex mutex;
    std::map<int, T> of;
  };
  static auto* all = new All;
  const int device = current_device();
  std::lock_guard lock{all->mutex};
  return all->of[device];
}

}  // namespace detail

/// Properties of the current device.
struct DeviceProperties {
  std::string name;
  int major = 0, minor = 0, multiprocessors = 0;
  std::size_t memory = 0;               ///< bytes
  double clock = 0.0, bandwidth = 0.0;  ///< a second: cycles, bytes of memory; at most
  bool reads_pageable = false;          ///< whether the device reads the host's pageable memory by itself

  /// Rates of float arithmetic, or of tf32 on tensor cores: operations that a multiprocessor starts in a
  /// cycle, by the tables of the CUDA programming guide, times cycles and multiprocessors.
  DeviceRates rates(bool tensor_cores) const {
    const double tensor = major >= 9 ? 2048.0 : 1024.0;
    return {multiprocessors * clock * (tensor_cores ? tensor : float_operations()), bandwidth};
  }

  /// Operations of float arithmetic that a multiprocessor starts in a cycle.
  double float_operations() const { return major == 8 && minor == 0 ? 128.0 : 256.0; }
};

namespace detail {

inline int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  LORU_CUDA_CHECK(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

}  // namespace detail

/// Properties of the current device. Clocks that the driver does not tell are those of the data sheet of its
/// capability. Throws NoDevice, CudaError.
inline DeviceProperties device_properties() {
  const int device = current_device();
  cudaDeviceProp p;
  LORU_CUDA_CHECK(cudaGetDeviceProperties(&p, device));
  const double kilohertz = detail::attribute(cudaDevAttrClockRate, device);
  const double memory_kilohertz = detail::attribute(cudaDevAttrMemoryClockRate, device);
  const double bus_bits = detail::attribute(cudaDevAttrGlobalMemoryBusWidth, device);
  DeviceProperties known{p.name,
                         p.major,
                         p.minor,
                         p.multiProcessorCount,
                         p.totalGlobalMem,
                         1e3 * kilohertz,
                         2e3 * memory_kilohertz * bus_bits / 8.0,  // two transfers a clock
                         detail::attribute(cudaDevAttrPageableMemoryAccess, device) != 0};
  const DataSheet sheet = data_sheet(p.major, p.minor);
  if (known.clock <= 0.0)
    known.clock = 1e12 * sheet.tflops / (p.multiProcessorCount * known.float_operations());
  if (known.bandwidth <= 0.0) known.bandwidth = 1e9 * sheet.bandwidth;
  return known;
}

/// Shared memory of the current device, in bytes. Kernels choose their tiles and stages by it.
struct SharedMemoryLimits {
  std::size_t block, multiprocessor;  ///< that a block may have, that all blocks of a multiprocessor have
};

/// Throws NoDevice, CudaError.
inline SharedMemoryLimits device_shared_memory() {
  const int device = current_device();
  return {static_cast<std::size_t>(detail::attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device)),
          static_cast<std::size_t>(detail::attribute(cudaDevAttrMaxSharedMemoryPerMultiprocessor, device))};
}

namespace detail {

/// The current device's properties, asked for once.
inline const DeviceProperties& this_device() {
  struct Known {
    DeviceProperties p = device_properties();
  };
  return on_this_device<Known>().p;
}

}  // namespace detail

}  // namespace loru::cuda
