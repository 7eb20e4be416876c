#pragma once
// dv = pᵀ·dy and dk = scale · dsᵀ·q, p and ds as in attention_dq.cuh, summed over the heads that read a head
// of keys, in their order, and over the queries in theirs.
//
// A block of 256 threads has 64 keys of one head of keys, and dk and dv in registers. It computes the
// transposed scores k·qᵀ and v·dyᵀ, so that their rows are its own; q and dy come in blocks of 64 or 32
// queries, the next while one is multiplied, or of 16 one after the other.
//
// Shared memory: k, v, two stages of q and dy with L and δ, p and ds, 73 KB (bf16) to 151 KB (float, W =
// 128); with one stage 93 KB. At most 255 registers: one block a multiprocessor.
#include <loru/cuda/kernels/attention_dq.cuh>

namespace loru::cuda {

template <class Math, int W, int Queries>
struct AttentionDkvTile {
  using T = typename Math::Element;
  static constexpr int rows = attention_rows, queries = Queries, stages = queries > 16 ? 2 : 1;
  static constexpr int stride = row_stride<T, W>, p_stride = row_stride<T, queries>;
  static constexpr int v_at = rows * stride, q_at = v_at + rows * stride, dy_at = queries * stride,
                       stage = 2 * dy_at, p_at = q_at + stages * stage, ds_at = p_at + rows * p_stride,
                       sums_at = ds_at + rows * p_stride;
  static constexpr int shared_bytes = sizeof(T) * sums_at + sizeof(float) * stages * 2 * queries;
  using Scores = BlockSums<Math, rows, queries, 4, Across>;
  using Rows = BlockSums<Math, rows, W, 4>;
};

/// Where a step of a block of keys is: the heads that read it, one after the other, and the blocks of queries
/// that see it, the first of them at first_query.
struct AttentionSteps {
  int first_head, first_query, blocks, count;

  template <class T>
  __device__ AttentionSteps(const Attention<T>& of, const AttentionBlock& b, int group, int queries)
      : first_head{group * (of.heads / of.groups)},
        first_query{of.first_that_sees(b)},
        blocks{divide_up(max(0, b.queries - first_query), queries)},
        count{blocks * (of.heads / of.groups)} {}

  __device__ int head(int step) const { return first_head + step / blocks; }
  __device__ int query(int step, int queries) const { return first_query + step % blocks * queries; }
};

/// q, dy, L and δ of one head's queries from `query` on: a stage, and the sums [L, δ][queries] of it.
template <class Tile, int W, bool Aligned, class T>
__device__ __forceinline__ void load_queries(const AttentionBackward<T>& p, const AttentionBlock& b, int head,
                                             int query, T* stage, float* sums) {
  load_tile<256, Tile::queries, W, Aligned>(stage, p.of.head_of_queries(p.of.q, b, head), query, 0);
  load_tile<256, Tile::queries, W, Aligned>(stage + Tile::dy_at, p.of.head_of_queries(p.dy, b, head), query,
                                            0);
  const int i = threadIdx.x;
  if (i >= Tile::queries) return;
  shared_store(sums + i, p.log2_sum(b, query + i, head));
  shared_store(sums + Tile::queries + i, p.offset(b, query + i, head));
}

/// (k·qᵀ, v·dyᵀ) of the queries from `query` on becomes (p, ds).
template <int Queries, class T, class Scores>
__device__ __forceinline__ void differentiate(const Attention<T>& of, const AttentionBlock& b, int query,
                                              const float* sums, Scores& weights, Scores& ds) {
  const float c = of.exponent();
  ds.for_each_pair(weights, [&](int slot, int column, float& v, float& weight) {
    const bool seen = b.first + Scores::slot_row(slot) < of.visible(b, query + column);
    const float share = exp2_approximate(fmaf(c, weight, -shared_load<float>(sums + column)));
    weight = seen ? share : 0.0f;
    v = weight * (v - shared_load<float>(sums + Queries + column));
  });
}

/// Aligned: heads_aligned. Grid (blocks of keys, groups).
template <class Math, int W, int Queries, bool Aligned>
__global__ void __launch_bounds__(256, 1)
    attention_dkv_kernel(const AttentionBackward<typename Math::Element> p) {
  using T = typename Math::Element;
  using Tile = AttentionDkvTile<Math, W, Queries>;
  using Scores = typename Tile::Scores;
  T* const Ks = shared_memory<T>();
  T *const Vs = Ks + Tile::v_at, *const stages = Ks + Tile::q_at, *const Ps = Ks + Tile::p_at,
           *const dSs = Ks + Tile::ds_at;
  float* const sums = reinterpret_cast<float*>(Ks + Tile::sums_at);  // [stages][L, δ][queries]
  const AttentionBlock b = p.of.key_blocks[blockIdx.x];
  const int group = blockIdx.y;
  const AttentionSteps steps(p.of, b, group, Tile::queries);

  const auto load = [&](int step) {
    const int place = step % Tile::stages;
    load_queries<Tile, W, Aligned>(p, b, steps.head(step), steps.query(step, Tile::queries),
                                   stages + place * Tile::stage, sums + place * 2 * Tile::queries);
  };
  if (steps.count > 0) {  // else the gradients are zero
    load_tile<256, Tile::rows, W, Aligned>(Ks, p.of.head_of_keys(p.of.k, b, group), b.first, 0);
    load_tile<256, Tile::rows, W, Aligned>(Vs, p.of.head_of_keys(p.of.v, b, group), b.first, 0);
    load(0);
    cp_async_commit();
  }

  typename Tile::Rows dk, dv;
  for (int step = 0; step < steps.count; ++step) {
    const int query = steps.query(step, Tile::queries);
    if constexpr (Tile::stages == 1) {
      if (step > 0) {
        __syncthreads();  // the step before is no longer read
        load(step);
        cp_async_commit();
      }
    }
    cp_async_wait<0>();
    __syncthreads();  // the step has arrived; the one before, its p and ds are no longer read
    if constexpr (Tile::stages > 1) {
      if (step + 1 < steps.count) load(step + 1);
      cp_async_commit();
    }
    const T* const Qs = stages + step % Tile::stages * Tile::stage;
    Scores weights, ds;  // (keys, queries)
    weights.template multiply_add<W>(Across<T, Tile::stride>{Ks}, Across<T, Tile::stride>{Qs});
    ds.template multiply_add<W>(Across<T, Tile::stride>{Vs}, Across<T, Tile::stride>{Qs + Tile::dy_at});
    differentiate<Tile::queries>(p.of, b, query, sums + step % Tile::stages * 2 * Tile::queries, weights, ds);
    weights.template store_left<Tile::p_stride>(Ps);
    ds.template store_left<Tile::p_stride>(dSs);
    __syncthreads();  // p and ds are there
    dv.template multiply_add<Tile::queries>(StoredLeft<Math, Tile::p_stride>{Ps},
                                            Down<T, Tile::stride>{Qs + Tile::dy_at});
    dk.template multiply_add<Tile::queries>(StoredLeft<Math, Tile::p_stride>{dSs}, Down<T, Tile::stride>{Qs});
  }
  if (p.dk) dk.store(p.of.head_of_keys(p.dk, b, group), b.first, 0, p.of.scale);
  if (p.dv) dv.store(p.of.head_of_keys(p.dv, b, group), b.first, 0, 1.0f);
}

}  // namespace loru::cuda
