// The tests on a device, from the same sources: what they allocate is managed memory, which kernels may read,
// and a launch returns when it is done. Without a device they are skipped.
#include <cstdlib>
#include <memory_resource>
#include <new>
#include <string>

#include <emulator/runtime.hpp>

#include <loru/cuda/runtime.hpp>

#include "support/skip.hpp"

namespace {

class Managed : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t) override {
    void* data = nullptr;
    if (cudaMallocManaged(&data, bytes) != cudaSuccess) throw std::bad_alloc();
    return data;
  }
  void do_deallocate(void* data, std::size_t, std::size_t) override { static_cast<void>(cudaFree(data)); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// Never destroyed: what it gave may outlive main.
std::pmr::memory_resource& pool() {
  alignas(Managed) static unsigned char upstream[sizeof(Managed)];
  alignas(std::pmr::synchronized_pool_resource) static unsigned char
      storage[sizeof(std::pmr::synchronized_pool_resource)];
  static auto* const all = ::new (storage) std::pmr::synchronized_pool_resource(::new (upstream) Managed);
  return *all;
}

/// Before each block that operator new gives.
struct alignas(std::max_align_t) Header {
  std::size_t bytes;
  bool managed;
};

bool use_managed = false;          // once a device is known to be there
thread_local bool inside = false;  // allocating: what that allocates in turn comes from the host

const char* why_not() {
  ::setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
  static std::string reason;
  try {
    loru::cuda::require_device();
    use_managed = true;
    return nullptr;
  } catch (const loru::cuda::NoDevice& error) {
    reason = error.what();
    return reason.c_str();
  }
}

[[maybe_unused]] const bool known = (loru_test::missing = why_not, true);

}  // namespace

void* operator new(std::size_t bytes) {
  const bool managed = use_managed && !inside;
  bytes += sizeof(Header);
  void* data = nullptr;
  if (managed) {
    inside = true;
    data = pool().allocate(bytes, alignof(Header));
    inside = false;
  } else {
    data = std::malloc(bytes);
    if (!data) throw std::bad_alloc();
  }
  return ::new (data) Header{bytes, managed} + 1;
}

void operator delete(void* data) noexcept {
  if (!data) return;
  Header* const header = static_cast<Header*>(data) - 1;
  if (!header->managed) return std::free(header);
  inside = true;
  pool().deallocate(header, header->bytes, alignof(Header));
  inside = false;
}

void operator delete(void* data, std::size_t) noexcept { operator delete(data); }

namespace loru::emulator {

Faults& faults() {
  static Faults none;
  return none;
}

Inventory inventory() { return {}; }

}  // namespace loru::emulator
