#pragma once
// A tile of a matrix in shared memory, and mma.sync on it. bf16 and float as tf32 share all of it: 32 bytes
// of k make one step, m16n8k16 on bf16 or m16n8k8 on tf32, out of the same bytes of shared memory.
#include <cstdint>
#include <type_traits>

#include <loru/cuda/device/matrix.cuh>

namespace loru::cuda {

/// Elements from one row of a tile to the next: an odd number of 16-byte units, so that eight rows at one
/// column lie in eight different groups of banks, and neither ldmatrix nor 16-byte accesses meet a conflict.
template <class T, int Cols>
inline constexpr int row_stride =
    Cols * sizeof(T) / 16 % 2 == 1 ? Cols : Cols + 16 / static_cast<int>(sizeof(T));

/// Elements of k that one mma takes.
template <class T>
inline constexpr int mma_depth = 32 / static_cast<int>(sizeof(T));

namespace detail {

/// Bytes that cp_async16 copies, and where from.
template <class T>
struct Copy16 {
  const T* from;
  int bytes;
};

/// tile[i][j] = the bytes of copy(i, j), for each 16 bytes of columns.
template <int Threads, int Rows, int Cols, int Stride, class T, class Copy>
__device__ __forceinline__ void copy_tile(T* tile, const Copy& copy) {
  constexpr int vector = 16 / sizeof(T), per_row = Cols / vector, vectors = Rows * per_row;
  static_assert(Cols % vector == 0 && Stride % vector == 0);
#pragma unroll
  for (int first = 0; first < vectors; first += Threads) {
    const int v = first + static_cast<int>(threadIdx.x);
    if (vectors % Threads != 0 && v >= vectors) break;
    const int i = v / per_row, j = v % per_row * vector;
    const Copy16<T> c = copy(i, j);
    cp_async16(tile + i * Stride + j, c.from, c.bytes);
  }
}

/// tile[i][j] = element(i, j). A warp takes a patch as wide as the step from row to row allows in different
/// banks: 16 bytes for strides that are an odd number of 16-byte units, otherwise 32.
template <int Threads, int Rows, int Cols, int Stride, class T, class Get>
__device__ __forceinline__ void store_tile(T* tile, const Get& element) {
  constexpr int wide = (Stride * sizeof(T) / 16 % 2 == 1 ? 16 : 32) / sizeof(T), tall = 32 / wide;
  static_assert(Cols % wide == 0 && Rows % tall == 0);
#pragma unroll 2
  for (int first = 0; first < Rows * Cols; first += Threads) {
    const int v = first + static_cast<int>(threadIdx.x), patch = v / 32;
    if (Rows * Cols % Threads != 0 && v >= Rows * Cols) break;
    const int i = patch / (Cols / wide) * tall + v % 32 / wide, j = patch % (Cols / wide) * wide + v % wide;
    shared_store(tile + i * Stride + j, element(i, j));
  }
}

}  // namespace detail

/// tile[i][j] = source(row + i, column + j), zero outside; called by all `Threads` threads of the block. Rows
/// of the tile are Stride elements apart, or row_stride of them. Aligned (rows_aligned(source), column a
/// multiple of 16 bytes): asynchronous, there after cp_async_wait and a barrier. Otherwise element by
/// element, there after a barrier.
template <int Threads, int Rows, int Cols, bool Aligned, int Stride = 0, class T>
__device__ __forceinline__ void load_tile(T* tile, const Matrix<const T>& source, int row, int column) {
  constexpr int stride = Stride != 0 ? Stride : row_stride<T, Cols>, vector = 16 / sizeof(T);
  if constexpr (Aligned)
    detail::copy_tile<Threads, Rows, Cols, stride>(tile, [&](int i, int j) {
      const int inside = row + i < source.rows ? min(vector, max(0, source.cols - column - j)) : 0;
      return detail::Copy16<T>{inside > 0 ? source.at(row + i, column + j) : source.data,
                               inside * static_cast<int>(sizeof(T))};
    });
  else
    detail::store_tile<Threads, Rows, Cols, stride>(tile, [&](int i, int j) {
      const bool inside = row + i < source.rows && column + j < source.cols;
      return inside ? *source.at(row + i, column + j) : from_float<T>(0.0f);
    });
}

/// Whether rows of all operands of a kernel start on 16-byte boundaries: of those that it spends its time
/// on, and of the others, whose rows are as long as a rank.
struct Alignment {
  bool first, last;
};

/// start(std::bool_constant<first>, std::bool_constant<last>). Where there are no others, or the first are
/// not aligned, last is as first.
template <bool Others, class Start>
void with_alignment(Alignment aligned, const Start& start) {
  if (!aligned.first) return start(std::false_type{}, std::false_type{});
  if constexpr (Others)
    if (!aligned.last) return start(std::true_type{}, std::false_type{});
  start(std::true_type{}, std::true_type{});
}

/// The same with std::integral_constant<int, stages>, 3 or 4; 3 where tiles are loaded element by element,
/// which gains nothing from more.
template <bool Others, class Start>
void with_stages(Alignment aligned, int stages, const Start& start) {
  with_alignment<Others>(
      aligned, [&]<bool First, bool Last>(std::bool_constant<First> first, std::bool_constant<Last> last) {
        if constexpr (First && Last)
          if (stages >= 4) return start(first, last, std::integral_constant<int, 4>{});
        start(first, last, std::integral_constant<int, 3>{});
      });
}

/// d (16, 8) += a (16, mma_depth) · b (mma_depth, 8).
template <class T>
__device__ __forceinline__ void mma(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  if constexpr (sizeof(T) == 4)
    mma_m16n8k8_tf32(d, a, b);
  else
    mma_m16n8k16_bf16(d, a, b);
}

/// float to tf32; bf16 stays as it is.
template <class T, int N>
__device__ __forceinline__ void round_operand(std::uint32_t (&f)[N]) {
  if constexpr (sizeof(T) == 4)
    for (int i = 0; i < N; ++i) f[i] = to_tf32(f[i]);
}

}  // namespace loru::cuda
