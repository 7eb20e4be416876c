#pragma once
// dq = scale · ds·k with ds = p ⊙ (dy·vᵀ − δ), p = 2^(c·q·k − L) computed again, and δ = Σ dy ⊙ y of a row.
//
// A block of 256 threads has 64 queries of one head, and dq in registers; k and v come in blocks of 64 or 32
// keys, the next while one is multiplied, or of 16 one after the other.
//
// Shared memory: q, dy, two stages of k and v, and ds, 63 KB (bf16) to 141 KB (float, W = 128); with one
// stage 88 KB. At most 255 registers: one block a multiprocessor.
#include <loru/cuda/kernels/attention.cuh>

namespace loru::cuda {

/// y and dy like q; log_sum and delta (rows, heads), delta written by attention_delta; dq like q, dk and dv
/// like k, or null.
template <class T>
struct AttentionBackward {
  Attention<T> of;
  const T *y, *dy;
  const float* log_sum;
  float* delta;
  T *dq, *dk, *dv;

  /// L and δ of a query of a block's sequence. L of a row that is not there is infinite: its p is zero.
  __device__ float log2_sum(const AttentionBlock& b, int query, int head) const {
    return query < b.queries ? log_sum[at(b, query, head)] * 1.4426950408889634f : INFINITY;
  }
  __device__ float offset(const AttentionBlock& b, int query, int head) const {
    return query < b.queries ? delta[at(b, query, head)] : 0.0f;
  }
  __device__ std::int64_t at(const AttentionBlock& b, int query, int head) const {
    return static_cast<std::int64_t>(b.query + query) * of.heads + head;
  }
};

template <class Math, int W, int Keys>
struct AttentionDqTile {
  using T = typename Math::Element;
  static constexpr int rows = attention_rows, keys = Keys, stages = keys > 16 ? 2 : 1;
  static constexpr int stride = row_stride<T, W>, ds_stride = row_stride<T, keys>;
  static constexpr int dy_at = rows * stride, k_at = dy_at + rows * stride, v_at = keys * stride,
                       stage = 2 * v_at, ds_at = k_at + stages * stage;
  static constexpr int shared_bytes = sizeof(T) * (ds_at + rows * ds_stride);
  using Scores = BlockSums<Math, rows, keys, 4, Across>;
  using Rows = BlockSums<Math, rows, W, 4>;
};

/// What is known of a thread's queries.
template <class Scores>
struct BackwardRows {
  float L[Scores::slots], delta[Scores::slots];
  int visible[Scores::slots];

  template <class T>
  __device__ __forceinline__ BackwardRows(const AttentionBackward<T>& p, const AttentionBlock& b, int head) {
#pragma unroll
    for (int s = 0; s < Scores::slots; ++s) {
      const int query = b.first + Scores::slot_row(s);
      L[s] = p.log2_sum(b, query, head), delta[s] = p.offset(b, query, head);
      visible[s] = p.of.visible(b, query);
    }
  }

  /// dy·vᵀ of the keys from `key` on becomes ds.
  __device__ __forceinline__ void differentiate(float c, int key, Scores& scores, Scores& ds) const {
    ds.for_each_pair(scores, [&](int slot, int column, float& v, float& score) {
      const float weight = exp2_approximate(fmaf(c, score, -L[slot]));
      v = key + column < visible[slot] ? weight * (v - delta[slot]) : 0.0f;
    });
  }
};

/// Aligned: heads_aligned. Grid (blocks of queries, heads).
template <class Math, int W, int Keys, bool Aligned>
__global__ void __launch_bounds__(256, 1)
    attention_dq_kernel(const AttentionBackward<typename Math::Element> p) {
  using T = typename Math::Element;
  using Tile = AttentionDqTile<Math, W, Keys>;
  using Scores = typename Tile::Scores;
  T* const Qs = shared_memory<T>();
  T *const dYs = Qs + Tile::dy_at, *const stages = Qs + Tile::k_at, *const dSs = Qs + Tile::ds_at;
  const AttentionBlock b = p.of.query_blocks[blockIdx.x];
  const int head = blockIdx.y, group = p.of.group(head);
  const Matrix<const T> K = p.of.head_of_keys(p.of.k, b, group), V = p.of.head_of_keys(p.of.v, b, group);
  const int steps = divide_up(p.of.visible_to_block(b), Tile::keys);

  const auto load = [&](int step) {
    T* const stage = stages + step % Tile::stages * Tile::stage;
    load_tile<256, Tile::keys, W, Aligned>(stage, K, step * Tile::keys, 0);
    load_tile<256, Tile::keys, W, Aligned>(stage + Tile::v_at, V, step * Tile::keys, 0);
  };
  load_tile<256, Tile::rows, W, Aligned>(Qs, p.of.head_of_queries(p.of.q, b, head), b.first, 0);
  load_tile<256, Tile::rows, W, Aligned>(dYs, p.of.head_of_queries(p.dy, b, head), b.first, 0);
  load(0);
  cp_async_commit();
  const BackwardRows<Scores> rows(p, b, head);

  typename Tile::Rows dq;
  const float c = p.of.exponent();
  for (int step = 0; step < steps; ++step) {
    const int key = step * Tile::keys;
    if constexpr (Tile::stages == 1) {
      if (step > 0) {
        __syncthreads();  // the step before is no longer read
        load(step);
        cp_async_commit();
      }
    }
    cp_async_wait<0>();
    __syncthreads();  // the step has arrived; the one before and its ds are no longer read
    if constexpr (Tile::stages > 1) {
      if (step + 1 < steps) load(step + 1);
      cp_async_commit();
    }
    const T* const Ks = stages + step % Tile::stages * Tile::stage;
    Scores scores, ds;
    scores.template multiply_add<W>(Across<T, Tile::stride>{Qs}, Across<T, Tile::stride>{Ks});
    ds.template multiply_add<W>(Across<T, Tile::stride>{dYs}, Across<T, Tile::stride>{Ks + Tile::v_at});
    rows.differentiate(c, key, scores, ds);
    ds.template store_left<Tile::ds_stride>(dSs);
    __syncthreads();  // ds is there
    dq.template multiply_add<Tile::keys>(StoredLeft<Math, Tile::ds_stride>{dSs}, Down<T, Tile::stride>{Ks});
  }
  dq.store(p.of.head_of_queries(p.dq, b, head), b.first, 0, p.of.scale);
}

}  // namespace loru::cuda
