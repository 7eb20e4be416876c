#pragma once
// Runs CUDA kernels on the CPU. Test code only. It reports what a device would pass over in silence:
//  - barriers release when every live thread has reached the same one; anything else is told with its lines;
//  - warp operations want every lane of their mask, at one line;
//  - shared memory starts as NaN, is exact in size and fenced by red zones;
//  - the target of a cp.async is NaN from issue until the issuing thread waits for it;
//  - two threads at one place of shared memory without a barrier between them, one of them writing, are a
//    race in every order of threads (two bytes are a place; __syncwarp() is a barrier among its warp);
//  - addresses that ldmatrix, cp.async or a vector access may not have; bank conflicts are counted.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <tuple>
#include <utility>

#include "emulator/block.hpp"

namespace loru::emulator {

inline void check_launch(const char* kernel, dim3 grid, dim3 size, std::size_t shared_bytes) {
  const auto threads = std::uint64_t{size.x} * size.y * size.z;
  if (threads == 0 || threads > 1024 || size.z > 64)
    fail<Fault>(kernel, ": expected 1 to 1024 threads a block, at most 64 deep, got ", size.x, " x ", size.y,
                " x ", size.z);
  if (std::uint64_t{grid.x} * grid.y * grid.z == 0 || grid.x > 0x7fffffffU || grid.y > 65535 ||
      grid.z > 65535)
    fail<Fault>(kernel, ": expected 1 to (2147483647, 65535, 65535) blocks, got (", grid.x, ", ", grid.y,
                ", ", grid.z, ")");
  if (shared_bytes > device.block_memory)
    fail<Fault>(kernel, ": expected at most ", device.block_memory >> 10, " KiB of shared memory, got ",
                shared_bytes, " bytes");
}

/// kernel<<<grid, size, shared_bytes>>>(args...) to its end, block after block. Throws Fault at the first
/// fault.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 size, std::size_t shared_bytes,
            A&&... args) {
  check_launch(name, grid, size, shared_bytes);
  ++statistics.launches;
  if (!device.computes) return;
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> parameters;  // converted once, copied for every thread, as on a device
  };
  const Call call{kernel, {std::forward<A>(args)...}};
  const auto body = [](const void* context) {
    const Call& call = *static_cast<const Call*>(context);
    std::apply(call.kernel, call.parameters);
  };
  struct Running {
    Block b;
    ~Running() { block = nullptr; }
  } running{{name, grid, size, shared_bytes, body, &call}};
  block = &running.b;

  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  for (std::uint64_t i = 0; i < blocks; ++i) {
    const std::uint64_t j = options.order == Order::reverse ? blocks - 1 - i : i;
    running.b.run({static_cast<unsigned>(j % grid.x), static_cast<unsigned>(j / grid.x % grid.y),
                   static_cast<unsigned>(j / grid.x / grid.y)});
  }
  const auto& counts = running.b.counts();
  statistics.threads += static_cast<std::int64_t>(blocks * size.x * size.y * size.z);
  statistics.barriers += counts.barriers;
  statistics.mma += counts.mma;
  statistics.ldmatrix += counts.ldmatrix;
  statistics.cp_async += counts.cp_async;
  statistics.bank_conflicts += counts.bank_conflicts;
}

}  // namespace loru::emulator

#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __shared__
#define __shared__ "shared memory comes from loru::cuda::shared_memory() alone"
#define threadIdx (::loru::emulator::block->self().index)
#define blockIdx (::loru::emulator::block->block_index)
#define blockDim (::loru::emulator::block->block_dim)
#define gridDim (::loru::emulator::block->grid_dim)
#define __syncthreads() ::loru::emulator::block->wait_at_barrier({"__syncthreads()", __FILE__, __LINE__})
