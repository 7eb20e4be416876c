#pragma once
// A matrix in global memory, as the kernels see it, and conversions of its elements.
#include <cuda_bf16.h>

#include <cstdint>
#include <type_traits>

#include <loru/cuda/device/ptx.cuh>

namespace loru::cuda {

/// Row-major (rows, cols), element (i, j) at data[i * ld + j].
template <class T>
struct Matrix {
  T* data = nullptr;
  int rows = 0, cols = 0, ld = 0;

  __host__ __device__ T* at(int i, int j) const { return data + static_cast<std::int64_t>(i) * ld + j; }
  __host__ __device__ bool holds(int i, int j) const { return i < rows && j < cols; }
  /// The same elements, not to be written.
  __host__ __device__ Matrix<const T> read() const { return {data, rows, cols, ld}; }
};

/// Whether each row starts on a 16-byte boundary: cp.async and vector accesses are allowed.
template <class... T>
bool rows_aligned(const Matrix<T>&... matrices) {
  const auto aligned = [](const auto& m) {
    const auto row = static_cast<std::uintptr_t>(m.ld) * sizeof(*m.data);
    return reinterpret_cast<std::uintptr_t>(m.data) % 16 == 0 && row % 16 == 0;
  };
  return (aligned(matrices) && ...);
}

/// Least count of b that holds a.
__host__ __device__ constexpr int divide_up(int a, int b) { return a / b + (a % b != 0 ? 1 : 0); }

__host__ __device__ __forceinline__ float to_float(float v) { return v; }
__host__ __device__ __forceinline__ float to_float(__nv_bfloat16 v) { return __bfloat162float(v); }

/// v rounded to T, to nearest even.
template <class T>
__host__ __device__ __forceinline__ T from_float(float v) {
  if constexpr (std::is_same_v<T, float>)
    return v;
  else
    return __float2bfloat16(v);
}

namespace detail {

/// Neighbours in memory that are read or written in one access.
template <class T, int N>
struct alignas(sizeof(T) * N) Run {
  T v[N];
};

}  // namespace detail

/// Writes (row, column .. column + N) of a matrix, in one access where the address allows it; nothing
/// outside.
template <class T, int N>
__device__ __forceinline__ void store_run(const Matrix<T>& to, int row, int column, const float (&v)[N]) {
  if (!to.holds(row, column)) return;
  using Run = detail::Run<T, N>;
  T* const p = to.at(row, column);
  if (column + N <= to.cols && reinterpret_cast<std::uintptr_t>(p) % sizeof(Run) == 0) {
    Run run;
#pragma unroll
    for (int e = 0; e < N; ++e) run.v[e] = from_float<T>(v[e]);
    *reinterpret_cast<Run*>(p) = run;
  } else {
#pragma unroll
    for (int e = 0; e < N; ++e)
      if (column + e < to.cols) p[e] = from_float<T>(v[e]);
  }
}

}  // namespace loru::cuda
