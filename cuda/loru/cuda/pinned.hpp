#pragma once
// Host memory that the device reads and writes by itself.

#include <algorithm>
#include <cstddef>

#include <cuda_runtime.h>

#include <loru/cuda/error.hpp>

namespace loru::cuda {

/// Page-locked host memory. It grows when more is asked for, and what it held is lost then.
class Pinned {
 public:
  Pinned() = default;
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  ~Pinned() { give_back(); }

  /// At least so many bytes. Throws CudaError.
  std::byte* at_least(std::size_t bytes) {
    if (bytes <= capacity_) return data_;
    const std::size_t wanted = std::max(bytes, 2 * capacity_);
    give_back();
    void* data = nullptr;
    LORU_CUDA_CHECK(cudaHostAlloc(&data, wanted, cudaHostAllocDefault));
    data_ = static_cast<std::byte*>(data);
    capacity_ = wanted;
    return data_;
  }

 private:
  void give_back() noexcept {
    if (data_ && cudaFreeHost(data_) != cudaSuccess) static_cast<void>(cudaGetLastError());
    data_ = nullptr;
    capacity_ = 0;
  }

  std::byte* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace loru::cuda
