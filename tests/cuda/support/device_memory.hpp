#pragma once
// Memory of the device for what kernels are given, beside the host's copy of it.
#include <cuda_runtime.h>

#include <cstddef>
#include <vector>

#include <loru/cuda/error.hpp>

namespace loru_test {

/// Elements by cudaMalloc. Copies run on the legacy default stream, as kernels of stream null do, and are
/// done when they return.
template <class T>
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t count) : bytes_{count * sizeof(T)} {
    if (bytes_ > 0) LORU_CUDA_CHECK(cudaMalloc(&data_, bytes_));
  }
  explicit DeviceMemory(const std::vector<T>& values) : DeviceMemory(values.size()) { set(values); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { static_cast<void>(cudaFree(data_)); }

  T* data() const { return static_cast<T*>(data_); }
  int size() const { return static_cast<int>(bytes_ / sizeof(T)); }
  void set(const std::vector<T>& values) const {
    if (bytes_ > 0) LORU_CUDA_CHECK(cudaMemcpy(data_, values.data(), bytes_, cudaMemcpyHostToDevice));
  }
  void get(std::vector<T>& values) const {
    if (bytes_ > 0) LORU_CUDA_CHECK(cudaMemcpy(values.data(), data_, bytes_, cudaMemcpyDeviceToHost));
  }

 private:
  std::size_t bytes_;
  void* data_ = nullptr;
};

}  // namespace loru_test
