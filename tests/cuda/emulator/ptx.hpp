#pragma once
// Host twins of every function in loru/cuda/device/ptx.cuh: same names and arguments, the documented
// behaviour, checks.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator/emulator.hpp"
#include "emulator/warp.hpp"

namespace loru::cuda {

using std::max, std::min;  // global functions under nvcc

// ---- shared memory ----

template <class T>
T* shared_memory() {
  return reinterpret_cast<T*>(emulator::block->shared());
}
template <class V, class T>
V shared_load(const T* p, LORU_HERE) {
  const emulator::Site site{"shared_load", file, line};
  emulator::block->plain_access(p, sizeof(V), false, site);
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class T>
void shared_store(T* p, V v, LORU_HERE) {
  static_assert(std::is_same_v<V, T> || !std::is_arithmetic_v<V>);
  const emulator::Site site{"shared_store", file, line};
  emulator::block->plain_access(p, sizeof(V), true, site);
  std::memcpy(static_cast<void*>(p), &v, sizeof v);
}

// ---- between blocks, which run one after the other ----

inline void publish() {}
inline bool last_to_arrive(unsigned* ticket, unsigned count, LORU_HERE) {
  if (*ticket >= count)
    emulator::block->fault({"last_to_arrive", file, line},
                           concat("expected less than ", count, " arrivals, got ", *ticket));
  const bool last = ++*ticket == count;
  if (last) *ticket = 0;
  return last;
}
inline float load_published(const float* p) { return *p; }

inline std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>(Wide{a} * b >> 64);
}

// ---- cp.async ----

inline void cp_async16(void* shared, const void* global, int bytes, LORU_HERE) {
  emulator::block->copy_later(shared, global, bytes, {"cp.async", file, line});
}
inline void cp_async_commit() { emulator::block->commit_copies(); }
template <int NewestLeftOpen>
void cp_async_wait(LORU_HERE) {
  emulator::block->wait_copies(NewestLeftOpen, {"cp.async.wait_group", file, line});
}

// ---- ldmatrix: lane l gives row l % 8 of matrix l / 8 and gets word l % 4 of row l / 4 of each ----

namespace twin {

struct Ldmatrix {
  const std::byte* row;
  std::uint32_t out[4];
};

/// Gives every lane its words, and counts bank conflicts.
template <int Count, bool Trans>
void ldmatrix(Ldmatrix* const* lanes);

template <int Count, bool Trans, class T>
void ldmatrix(std::uint32_t (&r)[Count], const T* row, const emulator::Site& site) {
  Ldmatrix mine{reinterpret_cast<const std::byte*>(row), {}};
  if (emulator::block->lane() < 8 * Count) emulator::block->access(row, 16, 16, false, site, true);
  emulator::block->warp_operation(~0U, mine, ldmatrix<Count, Trans>, site);
  std::copy_n(mine.out, Count, r);
}

}  // namespace twin

template <class T>
void ldmatrix_x4(std::uint32_t (&r)[4], const T* row, LORU_HERE) {
  twin::ldmatrix<4, false>(r, row, {"ldmatrix.x4", file, line});
}
template <class T>
void ldmatrix_x2(std::uint32_t (&r)[2], const T* row, LORU_HERE) {
  twin::ldmatrix<2, false>(r, row, {"ldmatrix.x2", file, line});
}
template <class T>
void ldmatrix_x4_trans(std::uint32_t (&r)[4], const T* row, LORU_HERE) {
  twin::ldmatrix<4, true>(r, row, {"ldmatrix.x4.trans", file, line});
}
template <class T>
void ldmatrix_x2_trans(std::uint32_t (&r)[2], const T* row, LORU_HERE) {
  twin::ldmatrix<2, true>(r, row, {"ldmatrix.x2.trans", file, line});
}

}  // namespace loru::cuda

#include "emulator/mma.hpp"
