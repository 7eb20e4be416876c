#pragma once
// All PTX, and every access to shared memory: kernels use these functions alone. An emulator on the host puts
// a header of the same name, with the same functions, before this one in the include path; kernels compile
// unchanged. Instructions: PTX ISA 8.x, sections of the same names.

#include <cuda_bf16.h>

#include <cstdint>
#include <type_traits>

namespace loru::cuda {

/// The block's dynamic shared memory, aligned to 128 bytes.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  extern __shared__ __align__(128) unsigned char loru_shared[];
  return reinterpret_cast<T*>(loru_shared);
}

/// A V (1, 2, 4, 8 or 16 bytes) read at p, which is aligned to its size.
template <class V, class T>
__device__ __forceinline__ V shared_load(const T* p) {
  return *reinterpret_cast<const V*>(p);
}
/// A V written at p. V is T, or a vector of several.
template <class V, class T>
__device__ __forceinline__ void shared_store(T* p, V v) {
  static_assert(std::is_same_v<V, T> || !std::is_arithmetic_v<V>);
  *reinterpret_cast<V*>(p) = v;
}

__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

/// Copies `bytes` (0 to 16) of global memory and fills up to 16 with zeros; both addresses aligned to 16.
/// Done for this thread after cp_async_wait, for the block after a barrier behind that.
__device__ __forceinline__ void cp_async16(void* shared, const void* global, int bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global),
               "r"(bytes)
               : "memory");
}
/// Closes the group of copies issued since the last commit.
__device__ __forceinline__ void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits for all groups but the newest.
template <int NewestLeftOpen>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(NewestLeftOpen) : "memory");
}

/// 8x8 matrices of 16 bits (or 8x4 of 32): lane l gives row l % 8 of matrix l / 8, aligned to 16, and gets
/// word l % 4 of row l / 4 of each.
template <class T>
__device__ __forceinline__ void ldmatrix_x4(std::uint32_t (&r)[4], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
template <class T>
__device__ __forceinline__ void ldmatrix_x2(std::uint32_t (&r)[2], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
/// The same, each 8x8 matrix of 16 bits transposed.
template <class T>
__device__ __forceinline__ void ldmatrix_x4_trans(std::uint32_t (&r)[4], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
template <class T>
__device__ __forceinline__ void ldmatrix_x2_trans(std::uint32_t (&r)[2], const T* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

/// d (16, 8) += a (16, 16) · b (16, 8). Lane 4g + t holds d at (g, 2t), (g, 2t+1), (g+8, 2t), (g+8, 2t+1).
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                                                  const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// The same with a (16, 8) and b (8, 8) in tf32; the hardware ignores the lower 13 bits of what it is given.
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4],
                                                 const std::uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/// The bits of a float rounded to tf32: 10 bits of mantissa, nearest, ties away from zero.
__device__ __forceinline__ std::uint32_t to_tf32(std::uint32_t v) {
  std::uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(__uint_as_float(v)));
  return r;
}

/// Makes what this thread wrote to global memory visible to all blocks, before what it writes from now on.
__device__ __forceinline__ void publish() { __threadfence(); }
/// One arrival at *ticket; true for the last of `count`, which brings the ticket back to zero. Others'
/// arrivals decide nothing else: no result may depend on which one is last.
__device__ __forceinline__ bool last_to_arrive(unsigned* ticket, unsigned count) {
  return atomicInc(ticket, count - 1) == count - 1;
}
/// What another block has published.
__device__ __forceinline__ float load_published(const float* p) { return __ldcg(p); }

/// The upper 64 bits of a b.
__device__ __forceinline__ std::uint64_t multiply_high(std::uint64_t a, std::uint64_t b) {
  return __umul64hi(a, b);
}

/// 2^x within 2 units in the last place; 1 of 0, 0 of -infinity and of what is below the least normal number.
__device__ __forceinline__ float exp2_approximate(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

}  // namespace loru::cuda
