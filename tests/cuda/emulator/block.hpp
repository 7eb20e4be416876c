#pragma once
// One block of CUDA threads, run by one OS thread: a fibre for each CUDA thread that waits, one stack for
// those that never do. What every access and every wait goes through is compiled once, in block.cpp.
#include <cuda_runtime.h>

#include <array>
#include <bit>
#include <exception>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "emulator/banks.hpp"
#include "emulator/fault.hpp"
#include "emulator/fiber.hpp"
#include "emulator/shared_memory.hpp"

namespace loru::emulator {

enum class State : std::uint8_t { fresh, ready, at_barrier, in_warp_operation, done };

struct PendingCopy {
  std::byte* to;
  const std::byte* from;
  int bytes;  // of 16; the rest becomes zero
  int group;
};

struct CudaThread {
  uint3 index{};
  std::unique_ptr<Fiber> fiber;     // while it waits
  Site site{};                      // where it waits
  std::vector<PendingCopy> copies;  // oldest first
  int group = 0;                    // commit groups closed so far
};

/// A warp operation in flight: each lane leaves a pointer to its operands, the last to come runs it for all.
struct CudaWarp {
  Site site{};
  unsigned expected = 0, arrived = 0;
  unsigned gone = 0;        // lanes that have left the kernel or never were
  std::uint16_t syncs = 0;  // __syncwarp() passed, modulo 2^16
  std::array<void*, 32> operands{};
};

class Block;
inline thread_local constinit Block* block = nullptr;  // which this OS thread is running

class Block {
 public:
  /// body(context) is the kernel with its arguments.
  Block(const char* kernel, dim3 grid, dim3 size, std::size_t shared_bytes, void (*body)(const void*),
        const void* context);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  dim3 grid_dim, block_dim;
  uint3 block_index{};

  /// Runs the block at `index` to its end. Throws Fault at the first fault, and whatever the kernel throws.
  void run(uint3 index);

  // ---- called by the running CUDA thread ----

  CudaThread& self() { return threads_[static_cast<std::size_t>(current_)]; }
  std::byte* shared() { return shared_.data(); }
  int lane() const { return current_ % 32; }

  void wait_at_barrier(const Site& site) { pause(State::at_barrier, site); }

  /// Runs all(lanes) once every lane of `mask` has come with its operands; the others' pointers are null.
  template <class Operands>
  void warp_operation(unsigned mask, Operands& mine, void (*all)(Operands* const*), const Site& site) {
    CudaWarp& warp = this->warp();
    meet(warp, mask, site);
    warp.operands[static_cast<std::size_t>(lane())] = &mine;
    warp.arrived |= 1U << lane();
    if (warp.arrived != warp.expected) return pause(State::in_warp_operation, site);
    std::array<Operands*, 32> lanes;
    for (std::size_t l = 0; l < 32; ++l) lanes[l] = static_cast<Operands*>(warp.operands[l]);
    all(lanes.data());
    warp.arrived = 0;
    warp.operands.fill(nullptr);
    for (unsigned rest = mask & ~(1U << lane()); rest != 0; rest &= rest - 1)
      state(current_ / 32 * 32 + std::countr_zero(rest)) = State::ready;
  }
  void synchronised_warp() { ++warp().syncs; }

  /// Checks and notes an access to shared memory.
  void access(const void* p, int bytes, int aligned_to, bool write, const Site& site,
              bool whole_warp = false);
  /// The same for one lane's part of a plain access, whose bank conflicts are counted.
  void plain_access(const void* p, int bytes, bool write, const Site& site);

  void copy_later(void* to, const void* from, int bytes, const Site& site);
  void commit_copies() { ++self().group; }
  void wait_copies(int newest_left_open, const Site& site);

  [[noreturn]] void fault(const Site& site, const std::string& what);

  struct Counts {
    std::int64_t barriers = 0, mma = 0, ldmatrix = 0, cp_async = 0, bank_conflicts = 0;
  };
  Counts& counts() { return counts_; }

 private:
  CudaWarp& warp() { return warps_[static_cast<std::size_t>(current_ / 32)]; }
  State& state(int thread) { return states_[static_cast<std::size_t>(thread)]; }
  const Site& site_of(int thread) const { return threads_[static_cast<std::size_t>(thread)].site; }

  void meet(CudaWarp& warp, unsigned mask, const Site& site);
  void note(const void* p, int bytes, bool write, const Site& site, bool whole_warp);
  void pause(State state, const Site& site);

  void schedule();
  bool run_lanes(int warp);
  void resume(int thread);
  void run_fresh();
  bool release_barrier();
  std::string divergence();
  void count_conflicts();
  std::string where() const;

  const char* kernel_;
  void (*body_)(const void*);
  const void* context_;
  SharedMemory shared_;
  std::vector<CudaThread> threads_;
  std::vector<State> states_;
  std::vector<CudaWarp> warps_;
  std::vector<WarpBanks> banks_;
  std::vector<int> lanes_, order_;  // the order of this turn
  std::unique_ptr<Fiber> running_;
  int current_ = 0, warp_ = 0;
  std::size_t cursor_ = 0;
  std::exception_ptr error_;
  Counts counts_;
  std::mt19937_64 random_;
};

}  // namespace loru::emulator
