#pragma once
// Device memory. Blocks come from cudaMalloc and wait, once released, in lists by size: a training step asks
// for the same sizes again and again, and after its first step no longer calls the runtime.
//
// A block waits in the lists of the current stream of the thread that releases it last (stream.hpp explains
// why its work is over when that stream gets there). Whoever takes it from there queues work on the same
// stream.

#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string_view>

#include <loru/core/memory.hpp>
#include <loru/cuda/stream.hpp>

namespace loru::cuda {

/// The device has less free memory than was asked for.
class OutOfMemory : public CudaError {
 public:
  using CudaError::CudaError;
};

/// Bytes of the current device: in tensors, and taken by this process in all.
struct MemoryStatistics {
  std::uint64_t used = 0, reserved = 0;
};

namespace detail {

/// Whether released blocks are kept. LORU_CUDA_CACHE=0 in the environment turns it off: every tensor then has
/// a block of its own and of its size, whose ends compute-sanitizer sees.
inline bool& keep_blocks() {
  static bool on = [] {
    const char* value = std::getenv("LORU_CUDA_CACHE");
    return !value || std::string_view(value) != "0";
  }();
  return on;
}

/// The blocks of a device: those that wait, by stream, and the unused headers of blocks, which live on the
/// host.
class Blocks {
 public:
  /// A waiting block for work on the stream; null if there is none of the size class.
  Block* take(cudaStream_t stream, std::uint32_t size_class) {
    std::lock_guard lock{mutex_};
    Block* block = memory::detail::pop(waiting_[stream], size_class);
    if (block) used_ += block->capacity;
    return block;
  }

  /// A block's memory is no longer used by work that the stream is given from now on.
  void give(cudaStream_t stream, Block* block) noexcept {
    std::lock_guard lock{mutex_};
    used_ -= block->capacity;
    if (keep_blocks() && block->size_class < memory::detail::classes)
      memory::detail::push(waiting_[stream], block);
    else
      free(block);
  }

  /// The header of a block that is new from the device.
  Block* add(void* data, memory::detail::SizeClass size) {
    std::lock_guard lock{mutex_};
    Block* block = headers_;
    if (block)
      headers_ = block->next;
    else
      block = new Block;
    block->data = data;
    block->capacity = size.bytes;
    block->size_class = size.index;
    used_ += size.bytes, reserved_ += size.bytes;
    return block;
  }

  /// Gives all waiting blocks back to the device. cudaFree waits for all work on it.
  void trim() noexcept {
    std::lock_guard lock{mutex_};
    ++trims_;
    for (auto& [stream, lists] : waiting_)
      for (Block*& head : lists)
        while (Block* block = head) {
          head = block->next;
          free(block);
        }
  }

  /// How often that was done.
  std::uint64_t trims() {
    std::lock_guard lock{mutex_};
    return trims_;
  }

  MemoryStatistics statistics() {
    std::lock_guard lock{mutex_};
    return {used_, reserved_};
  }

 private:
  void free(Block* block) noexcept {
    reserved_ -= block->capacity;
    if (cudaFree(block->data) != cudaSuccess) static_cast<void>(cudaGetLastError());
    block->next = headers_;
    headers_ = block;
  }

  std::mutex mutex_;
  std::map<cudaStream_t, memory::detail::Lists> waiting_;
  Block* headers_ = nullptr;
  std::uint64_t used_ = 0, reserved_ = 0, trims_ = 0;
};

/// At the program's end the device, and its memory with it, may be gone already.
inline void release_device(Block* block) noexcept {
  try {
    const cudaStream_t stream = current_stream();
    on_this_device<Blocks>().give(stream, block);
  } catch (const std::exception&) {}
}

/// Memory of the device; null if it has less.
inline void* device_memory(std::size_t bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  LORU_CUDA_CHECK(status);
  return data;
}

[[noreturn]] inline void fail_out_of_memory(std::size_t bytes, const MemoryStatistics& own) {
  std::size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) != cudaSuccess) static_cast<void>(cudaGetLastError());
  throw OutOfMemory(cudaErrorMemoryAllocation,
                    concat("cuda: out of memory: expected ", bytes, " bytes, got ", free, " free of ", total,
                           " on the device, of which tensors of this process have ", own.used));
}

}  // namespace detail

/// Bytes of the current device now. Throws NoDevice, CudaError.
inline MemoryStatistics memory_statistics() { return detail::on_this_device<detail::Blocks>().statistics(); }

/// Gives the memory that no tensor uses back to the current device, after all work on it. Throws NoDevice,
/// CudaError.
inline void trim() { detail::on_this_device<detail::Blocks>().trim(); }

/// A device buffer of at least `bytes` bytes, uninitialised, for work on this thread's stream. Where the
/// device has no more, what no tensor uses is given back to it first. Throws NoDevice, OutOfMemory,
/// CudaError.
inline Buffer allocate(std::size_t bytes) {
  detail::Blocks& blocks = detail::on_this_device<detail::Blocks>();
  memory::detail::SizeClass size = memory::detail::size_class(bytes);
  const bool kept = detail::keep_blocks();
  if (!kept)  // of no class: it serves no other tensor; an empty one has a buffer, too
    size = {static_cast<std::uint32_t>(memory::detail::classes), std::max<std::size_t>(bytes, 1)};
  Block* block = kept ? blocks.take(current_stream(), size.index) : nullptr;
  if (!block) {
    void* data = detail::device_memory(size.bytes);
    if (!data) {
      blocks.trim();
      data = detail::device_memory(size.bytes);
    }
    if (!data) detail::fail_out_of_memory(size.bytes, blocks.statistics());
    block = blocks.add(data, size);
  }
  block->references.store(1, std::memory_order_relaxed);
  block->release = &detail::release_device;
  return Buffer{block};
}

}  // namespace loru::cuda
