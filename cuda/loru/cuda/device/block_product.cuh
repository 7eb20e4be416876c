#pragma once
// Products of tiles in shared memory by a block of 256 threads, the sums in registers: on tensor cores in
// bf16 or tf32, or in plain float arithmetic. A kernel written over BlockSums serves all three.
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

/// A tile whose rows are operand rows and whose columns are k.
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

/// Row stride of a Down tile that meets an Across tile. Four rows of 32-bit elements at eight columns must
/// lie in 32 banks: eight words apart modulo 32. 16-bit elements go through ldmatrix and want what row_stride
/// gives.
template <class Math, int Cols>
inline constexpr int down_stride =
    Math::tensor_cores && sizeof(typename Math::Element) == 4 ? Cols + (8 - Cols % 16 + 16) % 16
                                                              : row_stride<typename Math::Element, Cols>;

namespace detail {

/// Which row of a Down tile of 32-bit elements a lane takes as its k = t and k = t + 4 of an mma. Natural
/// order matches ldmatrix. If both operands are Down tiles any order does, and with 2t and 2t + 1 tiles of
/// stride row_stride have no bank conflicts.
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

template <class Left>
inline constexpr bool is_down = false;
template <class T, int Stride>
inline constexpr bool is_down<Down<T, Stride>> = true;

/// Neighbours in memory that are read or written at once.
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

/// Sums of a Rows x Cols product, spread over 256 threads. WarpsDown of the 8 warps stand under one another.
template <class Math, int Rows, int Cols, int WarpsDown>
struct BlockSums {
  using T = typename Math::Element;
  static constexpr int warp_rows = Rows / WarpsDown, warp_cols = Cols * WarpsDown / 8;  // of one warp
  static constexpr int run_length = 2;  // neighbours in a row that a thread holds
  static_assert(warp_rows % 16 == 0 && warp_cols % 8 == 0);
  float sums[warp_rows / 16][warp_cols / 8][4] = {};

  __device__ __forceinline__ static int row() {
    return static_cast<int>(threadIdx.x) / 32 % WarpsDown * warp_rows;
  }
  __device__ __forceinline__ static int column() {
    return static_cast<int>(threadIdx.x) / 32 / WarpsDown * warp_cols;
  }

  /// sums += left (Rows, K) right (K, Cols).
  template <int K, class Left, int Stride>
  __device__ __forceinline__ void multiply_add(Left left, Down<T, Stride> right) {
    constexpr bool paired = detail::is_down<Left>;
    static_assert(K % mma_depth<T> == 0);
#pragma unroll(K / mma_depth<T> > 4 ? 2 : K / mma_depth<T>)
    for (int k = 0; k < K; k += mma_depth<T>) {
      std::uint32_t b[warp_cols / 8][2];
      detail::load_right<paired>(b, right, column(), k);
#pragma unroll
      for (int i = 0; i < warp_rows / 16; ++i) {
        std::uint32_t a[4];
        detail::load_left<paired>(a, left, row() + i * 16, k);
#pragma unroll
        for (int j = 0; j < warp_cols / 8; ++j) mma<T>(sums[i][j], a, b[j]);
      }
    }
  }

  /// tile[row][column] = scale times the sums, rounded to T; tile has rows of `Stride` elements.
  template <int Stride>
  __device__ __forceinline__ void store_shared(T* tile, float scale) const {
    const int odd = threadIdx.x / 4 % 2;
    for_each_run([&](int row, int column, const float(&run)[run_length]) {
      T* const p = tile + row * Stride + column;
      if constexpr (sizeof(T) == 2) {
        shared_store(p, detail::Run<T, 2>{{from_float<T>(scale * run[0]), from_float<T>(scale * run[1])}});
      } else {  // odd rows the other way round: eight rows, four columns, 32 banks
        shared_store(p + odd, scale * (odd ? run[1] : run[0]));
        shared_store(p + 1 - odd, scale * (odd ? run[0] : run[1]));
      }
    });
  }

  /// to(row0 + row, column0 + column) = scale times the sums, where `to` holds them.
  template <class E>
  __device__ __forceinline__ void store(const Matrix<E>& to, int row0, int column0, float scale) const {
    for_each_run([&](int row, int column, const float(&run)[run_length]) {
      float v[run_length];
#pragma unroll
      for (int e = 0; e < run_length; ++e) v[e] = scale * run[e];
      store_run(to, row0 + row, column0 + column, v);
    });
  }

  /// visit(row, column, run) for every run of run_length sums, run[e] being (row, column + e).
  template <class Visit>
  __device__ __forceinline__ void for_each_run(Visit visit) const {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i)
#pragma unroll
      for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          const float run[run_length] = {sums[i][j][2 * h], sums[i][j][2 * h + 1]};
          visit(row() + i * 16 + h * 8 + lane / 4, column() + j * 8 + lane % 4 * 2, run);
        }
  }
};

/// The same in plain arithmetic, by 16 x 16 threads: thread (tx, ty) holds rows 4 ty + 64 i + (0..3) and
/// columns run_length tx + 16 run_length j + (0..run_length - 1). Each sum is one chain of fused
/// multiply-adds in increasing k.
template <int Rows, int Cols, int WarpsDown>
struct BlockSums<InFloat, Rows, Cols, WarpsDown> {
  static constexpr int rows_each = Rows / 16, cols_each = Cols / 16,
                       run_length = cols_each < 4 ? cols_each : 4;
  static_assert(Rows % 64 == 0 && Cols % 16 == 0);
  float sums[rows_each][cols_each] = {};

  __device__ __forceinline__ static int row(int i) {
    return static_cast<int>(threadIdx.x) / 16 * 4 + i / 4 * 64 + i % 4;
  }
  __device__ __forceinline__ static int column(int j) {
    return (static_cast<int>(threadIdx.x) % 16 + j / run_length * 16) * run_length + j % run_length;
  }

  template <int K, int LeftStride, int Stride>
  __device__ __forceinline__ void multiply_add(Across<float, LeftStride> left, Down<float, Stride> right) {
#pragma unroll(K > 16 ? 1 : K / 4)
    for (int k = 0; k < K; k += 4) {
      detail::Run<float, 4> a[rows_each];
#pragma unroll
      for (int i = 0; i < rows_each; ++i)
        a[i] = shared_load<detail::Run<float, 4>>(left.tile + row(i) * LeftStride + k);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        float column[rows_each];
#pragma unroll
        for (int i = 0; i < rows_each; ++i) column[i] = a[i].v[e];
        add_outer(column, right.tile + (k + e) * Stride);
      }
    }
  }
  template <int K, int LeftStride, int Stride>
  __device__ __forceinline__ void multiply_add(Down<float, LeftStride> left, Down<float, Stride> right) {
#pragma unroll 4
    for (int k = 0; k < K; ++k) {
      float column[rows_each];
#pragma unroll
      for (int i = 0; i < rows_each; i += 4) {
        const auto v = shared_load<detail::Run<float, 4>>(left.tile + k * LeftStride + row(i));
#pragma unroll
        for (int e = 0; e < 4; ++e) column[i + e] = v.v[e];
      }
      add_outer(column, right.tile + k * Stride);
    }
  }

  template <int Stride>
  __device__ __forceinline__ void store_shared(float* tile, float scale) const {
    for_each_run([&](int row, int column, const float(&run)[run_length]) {
      detail::Run<float, run_length> v;
#pragma unroll
      for (int e = 0; e < run_length; ++e) v.v[e] = scale * run[e];
      shared_store(tile + row * Stride + column, v);
    });
  }

  template <class E>
  __device__ __forceinline__ void store(const Matrix<E>& to, int row0, int column0, float scale) const {
    for_each_run([&](int row, int column, const float(&run)[run_length]) {
      float v[run_length];
#pragma unroll
      for (int e = 0; e < run_length; ++e) v[e] = scale * run[e];
      store_run(to, row0 + row, column0 + column, v);
    });
  }

  template <class Visit>
  __device__ __forceinline__ void for_each_run(Visit visit) const {
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
#pragma unroll
      for (int j = 0; j < cols_each; j += run_length) {
        float run[run_length];
#pragma unroll
        for (int e = 0; e < run_length; ++e) run[e] = sums[i][j + e];
        visit(row(i), column(j), run);
      }
  }

 private:
  /// sums += left right, a column by a row of a tile.
  __device__ __forceinline__ void add_outer(const float (&left)[rows_each], const float* right) {
#pragma unroll
    for (int j = 0; j < cols_each; j += run_length) {
      const auto b = shared_load<detail::Run<float, run_length>>(right + column(j));
#pragma unroll
      for (int e = 0; e < run_length; ++e)
#pragma unroll
        for (int i = 0; i < rows_each; ++i) sums[i][j + e] = fmaf(left[i], b.v[e], sums[i][j + e]);
    }
  }
};

}  // namespace loru::cuda
