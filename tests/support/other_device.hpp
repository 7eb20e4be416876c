#pragma once
// A second device, as its author would write it: a tag with memory, and every op of the list declared in the
// tag's own namespace. other_device_ops.hpp defines them.

#include <cstdint>

#include <loru/core/core.hpp>
#include <loru/cpu/work.hpp>
#include <loru/ops/backend.hpp>

namespace other {

/// Addresses of this device lie this far above the host's: reading or writing one on the host is a fault.
inline constexpr std::uintptr_t distance = std::uintptr_t{1} << 62;

/// Its memory is the host's, under addresses that only its own ops understand.
struct Device {
  static constexpr const char* name = "other";
  static loru::Buffer allocate(std::size_t bytes) {
    auto* block = new loru::Block;
    void* memory = ::operator new(bytes + 1, std::align_val_t{64});
    block->data = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory) + distance);
    block->capacity = bytes;
    block->release = [](loru::Block* b) noexcept {
      void* mine = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(b->data) - distance);
      ::operator delete(mine, std::align_val_t{64});
      delete b;
    };
    return loru::Buffer{block};
  }
};

// docs: begin ops
using namespace loru;  // the names of the list's types
LORU_OPS(LORU_DECLARE_OP, T, Device)
LORU_COPY_OPS(LORU_DECLARE_OP, T, Device)

/// Computed by the host's ops: as fast, the same ways.
inline cost::Rates device_rates(Device) { return device_rates(Cpu{}); }
inline cost::Work step_work(Device, Plan plan, const LowRankProblem& p) { return step_work(Cpu{}, plan, p); }

static_assert(Backend<Device, float>);
// docs: end ops

template <class T>
using Array = Tensor<T, Device>;
using Labels = Array<std::int32_t>;

}  // namespace other
