#pragma once
// Products of the sources of a convolution (conv_sources.cuh) in plain arithmetic, through tiles in shared
// memory.
//
// Blocks of 256 threads make 64 x 64 elements of the result, 4 x 4 a thread. Shared memory holds two tiles of
// each source: while one is multiplied, the other is filled by cp.async (Aligned) or element by element. The
// z index of a block is its group, or, for sums over pixels, group and piece of the pixels.

#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/ptx.cuh>
#include <loru/cuda/ops/conv_sources.cuh>

namespace loru::cuda::detail {

inline constexpr int conv_threads = 256, conv_tile = 64;

/// Elements of 16 bytes.
template <class T>
inline constexpr int unit = 16 / static_cast<int>(sizeof(T));

template <class T>
struct alignas(16) Unit {
  T v[16 / sizeof(T)];
};

/// Depth of a tile: 64 bytes, so that a tile of 64 rows is one unit a thread.
template <class T>
inline constexpr int conv_depth = 64 / static_cast<int>(sizeof(T));

/// One unit of columns k .. k + unit of a row, to shared memory; zeros outside of the source.
template <bool Aligned, class T, class Source>
__device__ __forceinline__ void load_unit(T* to, const Source& source, typename Source::Row row, int k,
                                          int group) {
  if constexpr (Aligned) {
    const T* from = source.at(row, source.column(k, group));
    cp_async16(to, from ? from : source.any(), from ? 16 : 0);
  } else {
    for (int e = 0; e < unit<T>; ++e) {
      const T* from = source.at(row, source.column(k + e, group));
      shared_store(to + e, from ? *from : T(0));
    }
  }
}

/// Where the product of rows goes: element (row, column) of group g at data[row·ld + g·columns + column].
template <class T>
struct ConvResult {
  T* data;
  Index ld;
};

/// result(i, j) = Σ_k left(i, k)·right(j, k) for i, j of a group; blocks (rows / 64, columns / 64, groups).
/// Tiles lie in rows of conv_depth elements and one unit more, so that 16-byte reads of eight rows meet no
/// bank twice.
template <class T, bool Aligned, class Left, class Right>
__global__ void __launch_bounds__(conv_threads)
    conv_rows_kernel(Left left, Right right, ConvResult<T> result) {
  constexpr int depth = conv_depth<T>, stride = depth + unit<T>, units = depth / unit<T>,
                side = conv_tile * stride;
  T* const shared = shared_memory<T>();  // [2][left, right][conv_tile][stride]
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16, group = static_cast<int>(blockIdx.z);
  const Index row0 = static_cast<Index>(blockIdx.x) * conv_tile;
  const int column0 = static_cast<int>(blockIdx.y) * conv_tile, at = t / units * stride + t % units * unit<T>;
  const typename Left::Row left_row = left.row(row0 + t / units, group);
  const typename Right::Row right_row = right.row(column0 + t / units, group);
  const int tiles = (left.columns() + depth - 1) / depth;
  const auto load = [&](int tile) {
    T* const to = shared + tile % 2 * 2 * side + at;
    load_unit<Aligned>(to, left, left_row, tile * depth + t % units * unit<T>, group);
    load_unit<Aligned>(to + side, right, right_row, tile * depth + t % units * unit<T>, group);
    if constexpr (Aligned) cp_async_commit();
  };

  T sums[4][4] = {};
  if (tiles > 0) load(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if constexpr (Aligned) cp_async_wait<0>();
    __syncthreads();  // the tile has arrived, and the one before is no longer read
    if (tile + 1 < tiles) load(tile + 1);
    const T *a = shared + tile % 2 * 2 * side, *b = a + side;
#pragma unroll
    for (int k = 0; k < depth; k += unit<T>) {
      Unit<T> rows[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) rows[i] = shared_load<Unit<T>>(a + (ty + 16 * i) * stride + k);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const Unit<T> column = shared_load<Unit<T>>(b + (tx + 16 * j) * stride + k);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int e = 0; e < unit<T>; ++e) sums[i][j] += rows[i].v[e] * column.v[e];
      }
    }
  }
  const Index rows = left.rows();
  const int columns = static_cast<int>(right.rows());
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const Index row = row0 + ty + 16 * i;
      const int column = column0 + tx + 16 * j;
      if (row < rows && column < columns)
        result.data[row * result.ld + static_cast<Index>(group) * columns + column] = sums[i][j];
    }
}

/// A piece of out(piece, group, i, j) = Σ_p left(p, i)·right(p, j) over pixels p of the piece;
/// blocks (left columns / 64, right columns / 64, pieces · groups). Tiles lie as they are: [pixel][column].
template <class T, bool Aligned, class Left, class Right>
__global__ void __launch_bounds__(conv_threads)
    conv_pixels_kernel(Left left, Right right, int groups, Index pixels_of_piece, T* out) {
  constexpr int depth = conv_depth<T>, units = conv_tile / unit<T>, side = depth * conv_tile;
  T* const shared = shared_memory<T>();  // [2][left, right][depth][conv_tile]
  const int t = static_cast<int>(threadIdx.x), tx = t % 16, ty = t / 16;
  const int group = static_cast<int>(blockIdx.z) % groups;
  const Index piece = blockIdx.z / static_cast<unsigned>(groups);
  const Index first = piece * pixels_of_piece, last = min(first + pixels_of_piece, left.rows());
  const int i0 = static_cast<int>(blockIdx.x) * conv_tile, j0 = static_cast<int>(blockIdx.y) * conv_tile;
  const int tiles = static_cast<int>((last - first + depth - 1) / depth), at = t % units * unit<T>;
  const auto load = [&](int tile) {
    T* const to = shared + tile % 2 * 2 * side + t * unit<T>;
    const Index pixel = first + static_cast<Index>(tile) * depth + t / units,
                row = pixel < last ? pixel : left.rows();
    load_unit<Aligned>(to, left, left.row(row, group), i0 + at, group);
    load_unit<Aligned>(to + side, right, right.row(row, group), j0 + at, group);
    if constexpr (Aligned) cp_async_commit();
  };

  T sums[4][4] = {};
  if (tiles > 0) load(0);
  for (int tile = 0; tile < tiles; ++tile) {
    if constexpr (Aligned) cp_async_wait<0>();
    __syncthreads();  // the tile has arrived, and the one before is no longer read
    if (tile + 1 < tiles) load(tile + 1);
    const T *a = shared + tile % 2 * 2 * side, *b = a + side;
#pragma unroll
    for (int p = 0; p < depth; ++p) {
      T rows[4], columns[4];
#pragma unroll
      for (int e = 0; e < 4; e += unit<T>) {
        const Unit<T> r = shared_load<Unit<T>>(a + p * conv_tile + ty * 4 + e);
        const Unit<T> c = shared_load<Unit<T>>(b + p * conv_tile + tx * 4 + e);
#pragma unroll
        for (int u = 0; u < unit<T>; ++u) rows[e + u] = r.v[u], columns[e + u] = c.v[u];
      }
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] += rows[i] * columns[j];
    }
  }
  const int m = left.columns(), n = right.columns();
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = i0 + ty * 4 + i, column = j0 + tx * 4 + j;
      if (row < m && column < n) out[((piece * groups + group) * m + row) * n + column] = sums[i][j];
    }
}

}  // namespace loru::cuda::detail
