#pragma once
// Products of tiles in shared memory by a block of 256 threads, the sums in registers: on tensor cores in
// bf16 or tf32, or in plain float arithmetic. A kernel written over BlockSums serves all three.
#include <loru/cuda/device/operands.cuh>

namespace loru::cuda {

/// Sums of a Rows x Cols product, spread over 256 threads. WarpsDown of the 8 warps stand under one another.
/// Right says how the right operand lies, Across or Down; only plain arithmetic spreads its sums accordingly.
template <class Math, int Rows, int Cols, int WarpsDown, template <class, int> class Right = Down>
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

  static constexpr int count = warp_rows / 16 * (warp_cols / 8) * 4;  // of sums that a thread holds

  /// visit(i, sum) for the i-th of them, i < count.
  template <class Visit>
  __device__ __forceinline__ void for_each_own(Visit visit) {
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i)
#pragma unroll
      for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) visit((i * (warp_cols / 8) + j) * 4 + e, sums[i][j][e]);
  }

  /// Adds row[column0 + column] to each row's sums, nothing from `cols` on.
  __device__ __forceinline__ void add_row(const T* row, int column0, int cols) {
#pragma unroll
    for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int at = column0 + column() + j * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e;
        const float v = at < cols ? to_float(row[at]) : 0.0f;
#pragma unroll
        for (int i = 0; i < warp_rows / 16; ++i) sums[i][j][e] += v, sums[i][j][e + 2] += v;
      }
  }

  /// sums = max(0, sums).
  __device__ __forceinline__ void relu() {
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i)
#pragma unroll
      for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e) sums[i][j][e] = fmaxf(sums[i][j][e], 0.0f);
  }

  static constexpr int step = mma_depth<T>;  // of k

  /// sums += left (Rows, step) right (step, Cols), the step that begins at k.
  template <class Left, int Stride>
  __device__ __forceinline__ void multiply_add_step(Left left, Right<T, Stride> right, int k) {
    constexpr bool paired = detail::in_pairs<Left> && detail::is_down<Right<T, Stride>>;
    constexpr int rows = warp_rows / 16, cols = warp_cols / 8;
    if constexpr (rows == 1 &&
                  cols % 2 == 0) {  // one left operand meets the right ones two by two: fewer registers
      std::uint32_t a[4];
      detail::load_left<paired>(a, left, row(), k);
#pragma unroll
      for (int j = 0; j < cols; j += 2) {
        std::uint32_t b[2][2];
        detail::load_right<paired>(b, right, column() + j * 8, k);
        mma<T>(sums[0][j], a, b[0]);
        mma<T>(sums[0][j + 1], a, b[1]);
      }
    } else {
      std::uint32_t b[cols][2];
      detail::load_right<paired>(b, right, column(), k);
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        std::uint32_t a[4];
        detail::load_left<paired>(a, left, row() + i * 16, k);
#pragma unroll
        for (int j = 0; j < cols; ++j) mma<T>(sums[i][j], a, b[j]);
      }
    }
  }

  /// sums += left (Rows, K) right (K, Cols).
  template <int K, class Left, int Stride>
  __device__ __forceinline__ void multiply_add(Left left, Right<T, Stride> right) {
    static_assert(K % step == 0);
#pragma unroll(K / step > 4 ? 2 : K / step)
    for (int k = 0; k < K; k += step) multiply_add_step(left, right, k);
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

  /// tile = the sums, rounded to T, as the left operand StoredLeft<Math, Stride>.
  template <int Stride>
  __device__ __forceinline__ void store_left(T* tile) const {
    if constexpr (sizeof(T) == 2) return store_shared<Stride>(tile, 1.0f);
    for_each_run([&](int row, int column, const float(&run)[run_length]) {
      T* const p = tile + row * Stride + column / 8 * 8 + column % 8 / 2;
      shared_store(p, from_float<T>(run[0]));
      shared_store(p + 4, from_float<T>(run[1]));
    });
  }

  // ---- row by row: a thread holds sums of `slots` rows, and so do the three lanes beside it and the like of
  // `row_parts` warps ----

  static constexpr int slots = warp_rows / 16 * 2, row_parts = 8 / WarpsDown;

  __device__ __forceinline__ static int slot_row(int slot) {
    return row() + slot / 2 * 16 + slot % 2 * 8 + static_cast<int>(threadIdx.x) % 32 / 4;
  }
  /// Which of the warps that share this thread's rows it is in.
  __device__ __forceinline__ static int row_part() { return static_cast<int>(threadIdx.x) / 32 / WarpsDown; }
  /// One thread of each row and part.
  __device__ __forceinline__ static bool first_of_row() { return threadIdx.x % 4 == 0; }
  /// Joins the values of the warp's lanes that share a row.
  template <class Join>
  __device__ __forceinline__ static float join_row(float v, Join join) {
    v = join(v, __shfl_xor_sync(~0u, v, 1));
    return join(v, __shfl_xor_sync(~0u, v, 2));
  }
  /// visit(slot, column, sum) for every sum of this thread.
  template <class Visit>
  __device__ __forceinline__ void for_each_sum(Visit visit) {
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i)
#pragma unroll
      for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          visit(2 * i + e / 2, column() + j * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2,
                sums[i][j][e]);
  }
  /// visit(slot, column, sum, other's sum) for every sum of this thread.
  template <class Visit>
  __device__ __forceinline__ void for_each_pair(BlockSums& other, Visit visit) {
#pragma unroll
    for (int i = 0; i < warp_rows / 16; ++i)
#pragma unroll
      for (int j = 0; j < warp_cols / 8; ++j)
#pragma unroll
        for (int e = 0; e < 4; ++e)
          visit(2 * i + e / 2, column() + j * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + e % 2,
                sums[i][j][e], other.sums[i][j][e]);
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

}  // namespace loru::cuda

#include <loru/cuda/device/block_product_float.cuh>
