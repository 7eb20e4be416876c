#pragma once
// Operands of products of tiles in shared memory: how they are multiplied, how they lie, and their fragments
// in the registers of a warp for mma.sync.
#include <loru/cuda/device/tile.cuh>

namespace loru::cuda {

/// How numbers are stored and multiplied; sums are float.
struct InBf16 {
  using Element = __nv_bfloat16;
  static constexpr bool tensor_cores = true;
};
struct InTf32 {
  using Element = float;
  static constexpr bool tensor_cores = true;
};
struct InFloat {
  using Element = float;
  static constexpr bool tensor_cores = false;
};

/// A tile whose rows are operand rows (of a left operand) or columns (of a right one) and whose columns are
/// k.
template <class T, int Stride>
struct Across {
  const T* tile;
};
/// A tile whose rows are k and whose columns are operand rows (of a left operand) or columns (of a right
/// one).
template <class T, int Stride>
struct Down {
  const T* tile;
};

/// An Across tile of 32-bit elements whose columns stand, of each eight, in the order 0 2 4 6 1 3 5 7: a left
/// operand whose k runs in the order in which two Down tiles are read, so that the right one may have the
/// stride row_stride.
template <class T, int Stride>
struct Paired {
  const T* tile;
};
/// How a tile that store_left wrote is multiplied with a Down tile.
template <class Math, int Stride>
using StoredLeft =
    std::conditional_t<Math::tensor_cores && sizeof(typename Math::Element) == 4,
                       Paired<typename Math::Element, Stride>, Across<typename Math::Element, Stride>>;

/// Row stride of a Down tile that is multiplied with an Across tile. Four rows of 32-bit elements at eight
/// columns must lie in 32 banks: eight words apart modulo 32. 16-bit elements go through ldmatrix and need
/// the stride row_stride.
template <class Math, int Cols>
inline constexpr int down_stride =
    Math::tensor_cores && sizeof(typename Math::Element) == 4 ? Cols + (8 - Cols % 16 + 16) % 16
                                                              : row_stride<typename Math::Element, Cols>;

namespace detail {

/// Which row of a Down tile of 32-bit elements a lane takes as its k = t and k = t + 4 of an mma. Natural
/// order matches ldmatrix. If both operands are Down tiles, or the left one is Paired, another order is
/// right, and with 2t and 2t + 1 tiles of stride row_stride have no bank conflicts.
template <bool Paired>
__device__ __forceinline__ int k_row(int half) {
  const int t = threadIdx.x % 4;
  return Paired ? 2 * t + half : t + 4 * half;
}

/// a = tile(k .. k + mma_depth, row .. row + 16) transposed.
template <bool Paired, class T, int Stride>
__device__ __forceinline__ void load_left(std::uint32_t (&a)[4], Down<T, Stride> from, int row, int k) {
  const int lane = threadIdx.x % 32;
  if constexpr (sizeof(T) == 2) {
    ldmatrix_x4_trans(a, from.tile + (k + lane / 16 * 8 + lane % 8) * Stride + row + lane / 8 % 2 * 8);
  } else {
#pragma unroll
    for (int e = 0; e < 4; ++e)
      a[e] = to_tf32(shared_load<std::uint32_t>(from.tile + (k + k_row<Paired>(e / 2)) * Stride + row +
                                                lane / 4 + e % 2 * 8));
  }
}
/// a = tile(row .. row + 16, k .. k + mma_depth).
template <bool Paired, class T, int Stride>
__device__ __forceinline__ void load_left(std::uint32_t (&a)[4], Across<T, Stride> from, int row, int k) {
  const int lane = threadIdx.x % 32;
  ldmatrix_x4(a, from.tile + (row + lane % 16) * Stride + k + lane / 16 * (mma_depth<T> / 2));
  round_operand<T>(a);
}

template <bool Pairs, class T, int Stride>
__device__ __forceinline__ void load_left(std::uint32_t (&a)[4], Paired<T, Stride> from, int row, int k) {
  load_left<Pairs>(a, Across<T, Stride>{from.tile}, row, k);
}

/// b = tile(k .. k + mma_depth, column .. column + 8 N), N right operands.
template <bool Paired, class T, int Stride, int N>
__device__ __forceinline__ void load_right(std::uint32_t (&b)[N][2], Down<T, Stride> from, int column,
                                           int k) {
  const int lane = threadIdx.x % 32;
  if constexpr (sizeof(T) == 2) {
#pragma unroll
    for (int j = 0; j + 1 < N; j += 2) {
      std::uint32_t f[4];  // (k low, n 0-7) (k high, n 0-7) (k low, n 8-15) (k high, n 8-15)
      ldmatrix_x4_trans(f, from.tile + (k + lane % 16) * Stride + column + j * 8 + lane / 16 * 8);
      b[j][0] = f[0], b[j][1] = f[1], b[j + 1][0] = f[2], b[j + 1][1] = f[3];
    }
    if constexpr (N % 2 == 1)
      ldmatrix_x2_trans(b[N - 1], from.tile + (k + lane % 16) * Stride + column + (N - 1) * 8);
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e)
        b[j][e] = to_tf32(shared_load<std::uint32_t>(from.tile + (k + k_row<Paired>(e)) * Stride + column +
                                                     j * 8 + lane / 4));
  }
}

/// The same from a tile (column .. column + 8 N, k .. k + mma_depth), the right operand's transpose.
template <bool Paired, class T, int Stride, int N>
__device__ __forceinline__ void load_right(std::uint32_t (&b)[N][2], Across<T, Stride> from, int column,
                                           int k) {
  const int lane = threadIdx.x % 32, half = k + lane / 8 % 2 * (mma_depth<T> / 2);
#pragma unroll
  for (int j = 0; j + 1 < N; j += 2) {
    std::uint32_t f[4];  // (n 0-7, k low) (n 0-7, k high) (n 8-15, k low) (n 8-15, k high)
    ldmatrix_x4(f, from.tile + (column + j * 8 + lane / 16 * 8 + lane % 8) * Stride + half);
    round_operand<T>(f);
    b[j][0] = f[0], b[j][1] = f[1], b[j + 1][0] = f[2], b[j + 1][1] = f[3];
  }
  if constexpr (N % 2 == 1) {
    ldmatrix_x2(b[N - 1], from.tile + (column + (N - 1) * 8 + lane % 8) * Stride + half);
    round_operand<T>(b[N - 1]);
  }
}

template <class Left>
inline constexpr bool is_down = false;
template <class T, int Stride>
inline constexpr bool is_down<Down<T, Stride>> = true;
template <class Left>
inline constexpr bool in_pairs = is_down<Left>;
template <class T, int Stride>
inline constexpr bool in_pairs<Paired<T, Stride>> = true;

}  // namespace detail

}  // namespace loru::cuda
