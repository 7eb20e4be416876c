#pragma once
// merged = W + sum over clients of s_k B_k A_k, in place or not, reading W once and writing the result once;
// if wanted a second copy of it in another type.  W (m, n) float, A_k (r_k, n), B_k (m, r_k) float, any
// ranks.
//
// A block merges 64 x 128 elements; thread (tx, ty) of 32 x 8 owns rows ty + 8 i and columns 4 tx .. 4 tx +
// 3. It reads W first and adds the clients in order, ranks 16 at a time, each client's sum in increasing
// rank.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// merged may be W itself, or have no data; so may copy. What has data has W's shape.
template <class E, class Clients>
struct Merge {
  Matrix<const float> W;
  Clients clients;
  Matrix<float> merged;
  Matrix<E> copy;
};

struct MergeTile {
  static constexpr int rows = 64, cols = 128, ranks = 16;
  static constexpr int A_stride = row_stride<float, cols>, B_stride = row_stride<float, ranks>;
  static constexpr int A_at = rows * B_stride, shared_bytes = sizeof(float) * (A_at + ranks * A_stride);
};

/// Four neighbours of row `row`, zero outside, in one access where the address allows it.
__device__ __forceinline__ detail::Run<float, 4> load_run(const Matrix<const float>& from, int row,
                                                          int column) {
  detail::Run<float, 4> run{};
  if (!from.holds(row, column)) return run;
  const float* const p = from.at(row, column);
  if (column + 4 <= from.cols && reinterpret_cast<std::uintptr_t>(p) % 16 == 0)
    return *reinterpret_cast<const detail::Run<float, 4>*>(p);
#pragma unroll
  for (int e = 0; e < 4; ++e)
    if (column + e < from.cols) run.v[e] = p[e];
  return run;
}

/// sums += B A over the 16 ranks that stand in shared memory.
__device__ __forceinline__ void add_ranks(float (&sums)[8][4], const float* Bs, const float* As, int tx,
                                          int ty) {
#pragma unroll 1
  for (int q = 0; q < MergeTile::ranks; q += 4) {
    detail::Run<float, 4> a[4];
#pragma unroll
    for (int e = 0; e < 4; ++e)
      a[e] = shared_load<detail::Run<float, 4>>(As + (q + e) * MergeTile::A_stride + 4 * tx);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const auto b = shared_load<detail::Run<float, 4>>(Bs + (ty + 8 * i) * MergeTile::B_stride + q);
#pragma unroll
      for (int e = 0; e < 4; ++e)
#pragma unroll
        for (int j = 0; j < 4; ++j) sums[i][j] = fmaf(b.v[e], a[e].v[j], sums[i][j]);
    }
  }
}

/// Aligned: rows of all A and B start on 16-byte boundaries. At most 128 registers: two blocks a
/// multiprocessor.
template <class E, bool Aligned, class Clients>
__global__ void __launch_bounds__(256, 2) lora_merge_kernel(const Merge<E, Clients> p) {
  float* const Bs = shared_memory<float>();
  float* const As = Bs + MergeTile::A_at;
  const int tx = threadIdx.x % 32, ty = threadIdx.x / 32;
  const int row0 = blockIdx.x * MergeTile::rows, column0 = blockIdx.y * MergeTile::cols;

  detail::Run<float, 4> W[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) W[i] = load_run(p.W, row0 + ty + 8 * i, column0 + 4 * tx);
  for (int k = 0; k < p.clients.clients(); ++k) {
    const Client<float>& client = p.clients.client(k);
    float sums[8][4] = {};
    for (int q = 0; q < client.A.rows; q += MergeTile::ranks) {
      __syncthreads();  // the ranks before are no longer read
      load_tile<256, MergeTile::rows, MergeTile::ranks, Aligned>(Bs, client.B, row0, q);
      load_tile<256, MergeTile::ranks, MergeTile::cols, Aligned>(As, client.A, q, column0);
      cp_async_commit();
      cp_async_wait<0>();
      __syncthreads();
      add_ranks(sums, Bs, As, tx, ty);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) W[i].v[j] = fmaf(client.s, sums[i][j], W[i].v[j]);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    const int row = row0 + ty + 8 * i, column = column0 + 4 * tx;
    if (p.merged.data) store_run(p.merged, row, column, W[i].v);
    if (p.copy.data) store_run(p.copy, row, column, W[i].v);
  }
}

template <class E, class Clients>
void start_merge(const Merge<E, Clients>& p, bool aligned, cudaStream_t stream) {
  const dim3 grid(divide_up(p.W.rows, MergeTile::rows), divide_up(p.W.cols, MergeTile::cols));
  const auto kernel = aligned ? lora_merge_kernel<E, true, Clients> : lora_merge_kernel<E, false, Clients>;
  launch("lora_merge", kernel, grid, 256, MergeTile::shared_bytes, stream, p);
}

/// W += s B A; copy, if it has data, becomes the new W rounded to E.
template <class E>
void lora_merge(Matrix<float> W, const Client<float>& client, Matrix<E> copy, cudaStream_t stream) {
  start_merge(Merge<E, OneClient<float>>{W.read(), {client, 0, 1}, W, copy}, rows_aligned(client.A, client.B),
              stream);
}

/// composed = W + s B A, rounded to E; W stays.
template <class E>
void lora_compose(Matrix<const float> W, const Client<float>& client, Matrix<E> composed,
                  cudaStream_t stream) {
  start_merge(Merge<E, OneClient<float>>{W, {client, 0, 1}, {}, composed}, rows_aligned(client.A, client.B),
              stream);
}

/// W += sum over the cohort of s_k B_k A_k, added in order; weights of an average belong into s_k.
template <class E>
void lora_merge(Matrix<float> W, const Cohort<float>& cohort, bool aligned, Matrix<E> copy,
                cudaStream_t stream) {
  start_merge(Merge<E, Cohort<float>>{W.read(), cohort, W, copy}, aligned, stream);
}

}  // namespace loru::cuda
