#pragma once
// A sum that several blocks share: each adds up a piece of it and leaves its sums in global memory, and the
// last to come adds the pieces in their order. Which block that is changes from run to run; the order of the
// additions depends on the number of pieces alone. More than eight pieces are added in groups, each by the
// last of its own, so that nobody reads more than about two square roots of them.
#include <cuda_runtime.h>

#include <cstdint>

#include <loru/cuda/device/ptx.cuh>
#include <loru/cuda/tuning.hpp>

namespace loru::cuda {

/// Memory that blocks share sums by. Work on one stream may use the same.
struct Pieces {
  float* sums = nullptr;        // (blocks of the result, pieces, sums of a block)
  unsigned* tickets = nullptr;  // (blocks of the result, pieces): zero before and after
};

/// Where kernels are started: a stream, and what of its device decides how work is cut. With one
/// multiprocessor no sum is cut, and no memory for pieces is needed.
struct Queue {
  cudaStream_t stream = nullptr;
  int multiprocessors = 1, stages = 3;  // stages of the K loops of a forward pass
  Pieces pieces{};                      // piece_floats and piece_tickets of them (tuning.hpp)
};

/// How a block finds its piece of a sum: steps [blockIdx.z each, (blockIdx.z + 1) each).
struct PieceOfSum {
  Pieces memory;
  int each;
};

/// A sum of that many steps that nobody cuts.
inline constexpr int whole_sum = 1 << 30;

namespace detail {

template <class Sums>
inline constexpr int own_sums = Sums::count;
template <class Sums, int N>
inline constexpr int own_sums<Sums[N]> = N * Sums::count;

/// visit(i, sum) for the i-th sum of this thread.
template <class Sums, class Visit>
__device__ __forceinline__ void visit_own(Sums& sums, const Visit& visit) {
  sums.for_each_own(visit);
}
template <class Sums, int N, class Visit>
__device__ __forceinline__ void visit_own(Sums (&sums)[N], const Visit& visit) {
#pragma unroll
  for (int n = 0; n < N; ++n) sums[n].for_each_own([&](int i, float& v) { visit(n * Sums::count + i, v); });
}

/// Leaves the sums of this block in slot `own`. The last of `count` blocks gets the sums of slots first,
/// first + step, ... added in this order, and true; the others false.
template <class Sums>
__device__ __forceinline__ bool join_slots(float* slots, Sums& sums, int own, int first, int count, int step,
                                           unsigned* ticket) {
  const auto slot = [&](int i) {
    return slots + static_cast<std::int64_t>(i) * (own_sums<Sums> * 256) + threadIdx.x;
  };
  float* const mine = slot(own);
  visit_own(sums, [&](int i, float& v) { mine[i * 256] = v; });
  publish();
  __syncthreads();  // all threads have published, and the block's shared memory is no longer read
  bool* const last = shared_memory<bool>();
  if (threadIdx.x == 0) shared_store(last, last_to_arrive(ticket, static_cast<unsigned>(count)));
  __syncthreads();
  if (!shared_load<bool>(last)) return false;
  publish();  // what is read from now on was published before the last arrival
  visit_own(sums, [](int, float& v) { v = 0.0f; });
#pragma unroll 1
  for (int k = 0; k < count; ++k) {
    const float* const other = slot(first + k * step);
    visit_own(sums, [&](int i, float& v) { v += load_published(other + i * 256); });
  }
  return true;
}

}  // namespace detail

/// The sums of all pieces in one of the blocks that come with them, and true there; the others return false.
/// Sums: a BlockSums or several; `block` is the number of the block of the result.
template <class Sums>
__device__ __forceinline__ bool join_pieces(const Pieces& to, Sums& sums, int block, int piece, int pieces) {
  if (pieces == 1) return true;
  const int each = pieces_of_group(pieces), groups = (pieces + each - 1) / each, group = piece / each;
  const int first = group * each;
  float* const slots = to.sums + static_cast<std::int64_t>(block) * pieces * (detail::own_sums<Sums> * 256);
  unsigned* const tickets = to.tickets + static_cast<std::int64_t>(block) * pieces;
  if (!detail::join_slots(slots, sums, piece, first, min(each, pieces - first), 1, tickets + group))
    return false;
  return groups == 1 || detail::join_slots(slots, sums, first, 0, groups, each, tickets + groups);
}

}  // namespace loru::cuda
