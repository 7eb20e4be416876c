#pragma once
// BlockSums in plain float arithmetic; included by block_product.cuh.
#include <loru/cuda/device/block_product.cuh>

namespace loru::cuda {

/// The same in plain arithmetic, by 16 x 16 threads, or 8 x 32 for 32 rows: of D x C threads, thread (tx, ty)
/// holds rows 4 ty + 4 D i + (0..3) and columns run_length tx + C run_length j + (0..run_length - 1). Each
/// sum is one chain of fused multiply-adds in increasing k. An Across right operand is read down its rows:
/// neighbours in tx must be neighbours there, and runs are single.
template <int Rows, int Cols, int WarpsDown, template <class, int> class Right>
struct BlockSums<InFloat, Rows, Cols, WarpsDown, Right> {
  static constexpr int down = Rows % 64 == 0 ? 16 : 8, across = 256 / down;  // threads
  static constexpr int rows_each = Rows / down, cols_each = Cols / across;
  static constexpr int run_length = !detail::is_down<Right<float, 1>> ? 1 : cols_each < 4 ? cols_each : 4;
  static_assert(Rows % (4 * down) == 0 && Cols % (across * run_length) == 0);
  float sums[rows_each][cols_each] = {};

  __device__ __forceinline__ static int row(int i) {
    return static_cast<int>(threadIdx.x) / across * 4 + i / 4 * (4 * down) + i % 4;
  }
  __device__ __forceinline__ static int column(int j) {
    return (static_cast<int>(threadIdx.x) % across + j / run_length * across) * run_length + j % run_length;
  }

  static constexpr int count = rows_each * cols_each;

  template <class Visit>
  __device__ __forceinline__ void for_each_own(Visit visit) {
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
#pragma unroll
      for (int j = 0; j < cols_each; ++j) visit(i * cols_each + j, sums[i][j]);
  }

  __device__ __forceinline__ void add_row(const float* row, int column0, int cols) {
#pragma unroll
    for (int j = 0; j < cols_each; ++j) {
      const int at = column0 + column(j);
      const float v = at < cols ? row[at] : 0.0f;
#pragma unroll
      for (int i = 0; i < rows_each; ++i) sums[i][j] += v;
    }
  }

  __device__ __forceinline__ void relu() {
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
#pragma unroll
      for (int j = 0; j < cols_each; ++j) sums[i][j] = fmaxf(sums[i][j], 0.0f);
  }

  static constexpr int step = 4;  // of k, with an Across left operand

  template <int LeftStride, int Stride>
  __device__ __forceinline__ void multiply_add_step(Across<float, LeftStride> left,
                                                    Across<float, Stride> right, int k) {
    detail::Run<float, 4> a[rows_each];
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
      a[i] = shared_load<detail::Run<float, 4>>(left.tile + row(i) * LeftStride + k);
#pragma unroll
    for (int j = 0; j < cols_each; ++j) {
      const auto b = shared_load<detail::Run<float, 4>>(right.tile + column(j) * Stride + k);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int i = 0; i < rows_each; ++i) sums[i][j] = fmaf(a[i].v[e], b.v[e], sums[i][j]);
    }
  }

  template <int LeftStride, int Stride>
  __device__ __forceinline__ void multiply_add_step(Across<float, LeftStride> left, Down<float, Stride> right,
                                                    int k) {
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

  template <int K, int LeftStride, int Stride>
  __device__ __forceinline__ void multiply_add(Across<float, LeftStride> left, Right<float, Stride> right) {
#pragma unroll(K > 16 ? 1 : K / 4)
    for (int k = 0; k < K; k += step) multiply_add_step(left, right, k);
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

  template <int Stride>
  __device__ __forceinline__ void store_left(float* tile) const {
    store_shared<Stride>(tile, 1.0f);
  }

  /// `across` lanes share a row, and no other warp does.
  static constexpr int slots = rows_each, row_parts = 1;

  __device__ __forceinline__ static int slot_row(int slot) { return row(slot); }
  __device__ __forceinline__ static int row_part() { return 0; }
  __device__ __forceinline__ static bool first_of_row() { return threadIdx.x % across == 0; }
  template <class Join>
  __device__ __forceinline__ static float join_row(float v, Join join) {
#pragma unroll
    for (int distance = 1; distance < across; distance *= 2) v = join(v, __shfl_xor_sync(~0u, v, distance));
    return v;
  }
  template <class Visit>
  __device__ __forceinline__ void for_each_sum(Visit visit) {
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
#pragma unroll
      for (int j = 0; j < cols_each; ++j) visit(i, column(j), sums[i][j]);
  }
  template <class Visit>
  __device__ __forceinline__ void for_each_pair(BlockSums& other, Visit visit) {
#pragma unroll
    for (int i = 0; i < rows_each; ++i)
#pragma unroll
      for (int j = 0; j < cols_each; ++j) visit(i, column(j), sums[i][j], other.sums[i][j]);
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
