#pragma once
// Device memory in stream order. cudaMallocAsync takes it from the device's pool, which is told to keep what
// it has: a training step allocates the same sizes again and again, and after its first step takes no memory
// from the system.
//
// A block is freed on the current stream of the thread that releases it last (stream.hpp explains why that is
// in order).

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>

#include <loru/core/memory.hpp>
#include <loru/cuda/stream.hpp>

namespace loru::cuda {

/// The device has less free memory than was asked for.
class OutOfMemory : public CudaError {
 public:
  using CudaError::CudaError;
};

/// Bytes of the device's pool: in use, and taken from the device in all.
struct MemoryStatistics {
  std::uint64_t used = 0, reserved = 0;
};

namespace detail {

/// The device's pool, which gives nothing back to the device by itself.
inline cudaMemPool_t memory_pool() {
  static const cudaMemPool_t pool = [] {
    require_device();
    int device = 0;
    LORU_CUDA_CHECK(cudaGetDevice(&device));
    cudaMemPool_t p = nullptr;
    LORU_CUDA_CHECK(cudaDeviceGetDefaultMemPool(&p, device));
    std::uint64_t keep = std::numeric_limits<std::uint64_t>::max();
    LORU_CUDA_CHECK(cudaMemPoolSetAttribute(p, cudaMemPoolAttrReleaseThreshold, &keep));
    return p;
  }();
  return pool;
}

/// Headers of blocks, which live on the host and are used again. Never destroyed.
struct Headers {
  std::mutex mutex;
  Block* unused = nullptr;

  Block* take() {
    {
      std::lock_guard lock{mutex};
      if (Block* block = unused) {
        unused = block->next;
        return block;
      }
    }
    return new Block;
  }
  void give(Block* block) noexcept {
    std::lock_guard lock{mutex};
    block->next = unused;
    unused = block;
  }
};

inline Headers& headers() {
  static auto* all = new Headers;
  return *all;
}

/// At the program's end the device, and its memory with it, may be gone already.
inline void release_device(Block* block) noexcept {
  static_cast<void>(cudaFreeAsync(block->data, current_stream()));
  headers().give(block);
}

[[noreturn]] inline void fail_out_of_memory(std::size_t bytes) {
  static_cast<void>(cudaGetLastError());
  std::size_t free = 0, total = 0;
  static_cast<void>(cudaMemGetInfo(&free, &total));
  throw OutOfMemory(cudaErrorMemoryAllocation, concat("cuda: out of memory: expected ", bytes, " bytes, got ",
                                                      free, " free of ", total, " on the device"));
}

}  // namespace detail

/// Bytes of the device's pool now. Throws NoDevice, CudaError.
inline MemoryStatistics memory_statistics() {
  MemoryStatistics s;
  const cudaMemPool_t pool = detail::memory_pool();
  LORU_CUDA_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &s.used));
  LORU_CUDA_CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &s.reserved));
  return s;
}

/// Gives the unused memory of the pool back to the device, after all work of this thread's stream.
inline void trim() {
  synchronize();
  LORU_CUDA_CHECK(cudaMemPoolTrimTo(detail::memory_pool(), 0));
}

/// A device buffer of at least `bytes` bytes, uninitialised, for work on this thread's stream.
/// Throws NoDevice, OutOfMemory, CudaError.
inline Buffer allocate(std::size_t bytes) {
  detail::memory_pool();
  bytes = std::max<std::size_t>(bytes, 1);  // an empty tensor has a buffer, too
  void* data = nullptr;
  const cudaError_t status = cudaMallocAsync(&data, bytes, current_stream());
  if (status == cudaErrorMemoryAllocation) detail::fail_out_of_memory(bytes);
  LORU_CUDA_CHECK(status);
  Block* block = detail::headers().take();
  block->references.store(1, std::memory_order_relaxed);
  block->data = data;
  block->capacity = bytes;
  block->release = &detail::release_device;
  return Buffer{block};
}

}  // namespace loru::cuda
