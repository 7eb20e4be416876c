#pragma once
// Reused buffers: 64-byte aligned blocks with an intrusive reference count that return to size-class free
// lists.
//
// A training step allocates the same sizes again and again; after its first step it takes no memory from the
// system. Blocks freed by the thread that took them go to that thread's lists; blocks freed by another
// thread, or left behind by a thread that ends, go to shared lists that every thread may take from.

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <utility>

#include <loru/core/isa.hpp>

namespace loru::inline LORU_ISA {

/// Header of a buffer. `data` points at `capacity` bytes; `release` is called when the count reaches zero.
struct alignas(64) Block {
  std::atomic<std::int64_t> references{1};
  void* data = nullptr;
  std::size_t capacity = 0;
  void (*release)(Block*) noexcept = nullptr;
  Block* next = nullptr;
  const void* owner = nullptr;
  std::uint32_t size_class = 0;
};

/// Counted handle of a Block; copying shares, the last one releases.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(Block* block) : block_{block} {}
  Buffer(const Buffer& other) : block_{other.block_} {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  Buffer(Buffer&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Buffer() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) block_->release(block_);
  }

  void* data() const { return block_ ? block_->data : nullptr; }
  std::size_t capacity() const { return block_ ? block_->capacity : 0; }
  /// True if no other handle shares the block.
  bool unique() const { return block_ && block_->references.load(std::memory_order_acquire) == 1; }
  explicit operator bool() const { return block_ != nullptr; }

 private:
  Block* block_ = nullptr;
};

namespace memory {

/// Blocks and bytes taken from the system so far by the host pool, by all threads.
struct Statistics {
  std::uint64_t system_allocations = 0;
  std::uint64_t system_bytes = 0;
};

namespace detail {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool reuse = false;  // every buffer from the system, so that the sanitizer sees its ends
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool reuse = false;
#else
inline constexpr bool reuse = true;
#endif
#else
inline constexpr bool reuse = true;
#endif

/// Four classes per power of two: at most a quarter of a block is unused.
inline constexpr std::size_t classes = 4 * 48;

struct SizeClass {
  std::uint32_t index;
  std::size_t bytes;
};

inline SizeClass size_class(std::size_t bytes) {
  if (bytes <= 256) return {0, 256};
  const auto power = static_cast<std::uint32_t>(std::bit_width(bytes - 1));  // 2^(power-1) < bytes <= 2^power
  const std::size_t quarter = std::size_t{1} << (power - 3);
  const std::size_t quarters = (bytes + quarter - 1) / quarter;  // 5 .. 8
  return {4 * (power - 8) + static_cast<std::uint32_t>(quarters) - 8 + 4, quarters * quarter};
}

using Lists = std::array<Block*, classes>;

inline Block* pop(Lists& lists, std::uint32_t index) {
  Block* block = lists[index];
  if (block) lists[index] = block->next;
  return block;
}

inline void push(Lists& lists, Block* block) {
  block->next = lists[block->size_class];
  lists[block->size_class] = block;
}

inline void free_to_system(Block* block) noexcept {
  block->~Block();
  ::operator delete(static_cast<void*>(block), std::align_val_t{64});
}

inline void free_to_system(Lists& lists) noexcept {
  for (Block*& head : lists)
    while (Block* block = head) {
      head = block->next;
      free_to_system(block);
    }
}

struct SharedPool {
  std::mutex mutex;
  Lists lists{};
  std::atomic<std::uint64_t> system_allocations{0};
  std::atomic<std::uint64_t> system_bytes{0};
};

/// Never destroyed: threads and static objects may release blocks after main has returned.
inline SharedPool& shared_pool() {
  static auto* pool = new SharedPool;
  return *pool;
}

struct ThreadPool {
  Lists lists{};
  ~ThreadPool() {
    alive() = false;
    SharedPool& shared = shared_pool();
    std::lock_guard lock{shared.mutex};
    for (Block*& head : lists)
      while (Block* block = head) {
        head = block->next;
        push(shared.lists, block);
      }
  }
  static bool& alive() {
    thread_local bool value = true;
    return value;
  }
};

inline ThreadPool& thread_pool() {
  thread_local ThreadPool pool;
  return pool;
}

inline void release_host(Block* block) noexcept {
  if constexpr (!reuse) return free_to_system(block);
  if (ThreadPool::alive()) {
    ThreadPool& mine = thread_pool();
    if (block->owner == &mine) return push(mine.lists, block);
  }
  SharedPool& shared = shared_pool();
  std::lock_guard lock{shared.mutex};
  push(shared.lists, block);
}

inline Block* take_from_system(SizeClass size) {
  void* raw = ::operator new(sizeof(Block) + size.bytes, std::align_val_t{64});
  Block* block = new (raw) Block;
  block->data = static_cast<std::byte*>(raw) + sizeof(Block);
  block->capacity = size.bytes;
  block->size_class = size.index;
  block->release = &release_host;
  SharedPool& shared = shared_pool();
  shared.system_allocations.fetch_add(1, std::memory_order_relaxed);
  shared.system_bytes.fetch_add(size.bytes, std::memory_order_relaxed);
  return block;
}

}  // namespace detail

/// A host buffer of at least `bytes` bytes, uninitialised, 64-byte aligned. Throws std::bad_alloc.
inline Buffer allocate_host(std::size_t bytes) {
  const detail::SizeClass size = detail::size_class(bytes);
  detail::ThreadPool& mine = detail::thread_pool();
  Block* block = nullptr;
  if constexpr (detail::reuse) {
    block = detail::pop(mine.lists, size.index);
    if (!block) {
      detail::SharedPool& shared = detail::shared_pool();
      std::lock_guard lock{shared.mutex};
      block = detail::pop(shared.lists, size.index);
    }
  }
  if (!block) block = detail::take_from_system(size);
  block->references.store(1, std::memory_order_relaxed);
  block->owner = &mine;
  return Buffer{block};
}

/// Blocks and bytes that the pool has taken from the system since the program began.
inline Statistics statistics() {
  const detail::SharedPool& shared = detail::shared_pool();
  return {shared.system_allocations.load(), shared.system_bytes.load()};
}

/// Returns the unused blocks of this thread and of the shared lists to the system.
inline void trim() {
  detail::free_to_system(detail::thread_pool().lists);
  detail::SharedPool& shared = detail::shared_pool();
  std::lock_guard lock{shared.mutex};
  detail::free_to_system(shared.lists);
}

}  // namespace memory
}  // namespace loru::inline LORU_ISA
