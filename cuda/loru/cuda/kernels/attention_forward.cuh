#pragma once
// y = softmax(scale · q·kᵀ)·v and the logarithm of the softmax's sum, in blocks of 64 or 32 keys with a
// running maximum and sum, so that no row of scores is ever whole.
//
// A block of 256 threads has 64 queries of one head. Scores and y stay in registers, of the same rows: one
// thread scales both. Per block of keys, k is multiplied while v arrives, and v while the next k does.
//
// Shared memory: q, k, v and the exponentials, 37 KB (bf16) to 117 KB (float, W = 128). Two blocks a
// multiprocessor, and so at most 128 registers, but for float and W = 128, which is alone; of 32 keys it
// takes 77 KB.
#include <cmath>

#include <loru/cuda/kernels/attention.cuh>

namespace loru::cuda {

/// y like q; log_sum (rows, heads).
template <class T>
struct AttentionForward {
  Attention<T> of;
  T* y;
  float* log_sum;
};

template <class Math, int W, int Keys>
struct AttentionForwardTile {
  using T = typename Math::Element;
  static constexpr int rows = attention_rows, keys = Keys;
  static constexpr int stride = row_stride<T, W>, p_stride = row_stride<T, keys>;
  static constexpr int k_at = rows * stride, v_at = k_at + keys * stride, p_at = v_at + keys * stride,
                       parts_at = p_at + rows * p_stride;
  static constexpr int shared_bytes = sizeof(T) * parts_at + sizeof(float) * 2 * rows;
  static constexpr int blocks =
      keys == 64 && 2 * shared_bytes <= 163 << 10 ? 2 : 1;  // a multiprocessor, on sm_80
  using Scores = BlockSums<Math, rows, keys, 4, Across>;
  using Rows = BlockSums<Math, rows, W, 4>;
};

/// The maxima and sums of a thread's rows so far. Each thread sums its own exponentials; parts (row_parts,
/// 64) in shared memory joins warps that share rows.
template <class Scores>
struct RunningSoftmax {
  static constexpr int slots = Scores::slots;
  float* parts;
  float most[slots], sum[slots];

  __device__ __forceinline__ explicit RunningSoftmax(float* parts_of_block) : parts{parts_of_block} {
#pragma unroll
    for (int s = 0; s < slots; ++s) most[s] = -INFINITY, sum[s] = 0.0f;
  }

  /// Leaves the warp's value of each row for the others, to be read behind a barrier.
  template <class Join>
  __device__ __forceinline__ void leave(const float (&v)[slots], Join join) const {
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      const float mine = Scores::join_row(v[s], join);
      if (Scores::first_of_row())
        shared_store(parts + Scores::row_part() * attention_rows + Scores::slot_row(s), mine);
    }
  }
  /// All warps' values of a row, joined.
  template <class Join>
  __device__ __forceinline__ float joined(int slot, Join join) const {
    float v = shared_load<float>(parts + Scores::slot_row(slot));
#pragma unroll
    for (int part = 1; part < Scores::row_parts; ++part)
      v = join(v, shared_load<float>(parts + part * attention_rows + Scores::slot_row(slot)));
    return v;
  }

  /// The largest score of each row is left for the others.
  __device__ __forceinline__ void leave_largest(Scores& scores) const {
    float largest[slots];
#pragma unroll
    for (int s = 0; s < slots; ++s) largest[s] = -INFINITY;
    scores.for_each_sum([&](int slot, int, float& v) { largest[slot] = fmaxf(largest[slot], v); });
    leave(largest, Greatest{});
  }

  /// Scores become 2^(score − maximum); sums, and the rows of y, are brought to the new maximum.
  template <class Rows>
  __device__ __forceinline__ void advance(Scores& scores, Rows& y) {
    static_assert(Rows::slots == slots);
    float factor[slots];
#pragma unroll
    for (int s = 0; s < slots; ++s) {
      const float now = fmaxf(most[s], joined(s, Greatest{}));
      factor[s] = exp2_approximate(most[s] - now);
      most[s] = now;
      sum[s] *= factor[s];
    }
    y.for_each_sum([&](int slot, int, float& v) { v *= factor[slot]; });
    scores.for_each_sum([&](int slot, int, float& v) {
      v = exp2_approximate(v - most[slot]);
      sum[slot] += v;
    });
  }
};

/// Scores of keys that a row does not see become −∞, others are multiplied by c.
template <class T, class Scores>
__device__ __forceinline__ void scale_and_hide(const Attention<T>& of, const AttentionBlock& b, int key,
                                               Scores& scores) {
  const float c = of.exponent();
  scores.for_each_sum([&](int slot, int column, float& v) {
    v = key + column < of.visible(b, b.first + Scores::slot_row(slot)) ? v * c : -INFINITY;
  });
}

/// Divides y by the sums, and writes it with their logarithms.
template <class T, class Scores, class Rows>
__device__ __forceinline__ void finish_rows(const AttentionForward<T>& p, const AttentionBlock& b, int head,
                                            const RunningSoftmax<Scores>& softmax, Rows& y) {
  softmax.leave(softmax.sum, Total{});
  __syncthreads();
  float share[Scores::slots];
#pragma unroll
  for (int s = 0; s < Scores::slots; ++s) {
    const float sum = softmax.joined(s, Total{});
    const int row = b.first + Scores::slot_row(s);
    share[s] = 1.0f / sum;
    if (Scores::first_of_row() && Scores::row_part() == 0 && row < b.queries)
      p.log_sum[static_cast<std::int64_t>(b.query + row) * p.of.heads + head] =
          0.69314718055994531f * (softmax.most[s] + log2f(sum));
  }
  y.for_each_sum([&](int slot, int, float& v) { v *= share[slot]; });
  y.store(p.of.head_of_queries(p.y, b, head), b.first, 0, 1.0f);
}

/// Aligned: heads_aligned. Grid (blocks of queries, heads).
template <class Math, int W, int Keys, bool Aligned>
__global__ void __launch_bounds__(256, AttentionForwardTile<Math, W, Keys>::blocks)
    attention_forward_kernel(const AttentionForward<typename Math::Element> p) {
  using T = typename Math::Element;
  using Tile = AttentionForwardTile<Math, W, Keys>;
  using Scores = typename Tile::Scores;
  T* const Qs = shared_memory<T>();
  T *const Ks = Qs + Tile::k_at, *const Vs = Qs + Tile::v_at, *const Ps = Qs + Tile::p_at;
  const AttentionBlock b = p.of.query_blocks[blockIdx.x];
  const int head = blockIdx.y, group = p.of.group(head);
  const Matrix<const T> K = p.of.head_of_keys(p.of.k, b, group), V = p.of.head_of_keys(p.of.v, b, group);
  const int steps = divide_up(p.of.visible_to_block(b), Tile::keys);

  typename Tile::Rows y;
  RunningSoftmax<Scores> softmax(reinterpret_cast<float*>(Qs + Tile::parts_at));
  load_tile<256, Tile::rows, W, Aligned>(Qs, p.of.head_of_queries(p.of.q, b, head), b.first, 0);
  load_tile<256, Tile::keys, W, Aligned>(Ks, K, 0, 0);
  cp_async_commit();
  for (int step = 0; step < steps; ++step) {
    const int key = step * Tile::keys;
    cp_async_wait<0>();
    __syncthreads();  // k has arrived; v and the exponentials of the step before are no longer read
    load_tile<256, Tile::keys, W, Aligned>(Vs, V, key, 0);
    cp_async_commit();
    Scores scores;
    scores.template multiply_add<W>(Across<T, Tile::stride>{Qs}, Across<T, Tile::stride>{Ks});
    scale_and_hide(p.of, b, key, scores);
    softmax.leave_largest(scores);
    __syncthreads();  // the maxima are there; k is no longer read
    if (step + 1 < steps) load_tile<256, Tile::keys, W, Aligned>(Ks, K, key + Tile::keys, 0);
    cp_async_commit();
    softmax.advance(scores, y);
    scores.template store_left<Tile::p_stride>(Ps);
    cp_async_wait<1>();
    __syncthreads();  // v has arrived, and the exponentials are there
    y.template multiply_add<Tile::keys>(StoredLeft<Math, Tile::p_stride>{Ps}, Down<T, Tile::stride>{Vs});
  }
  finish_rows(p, b, head, softmax, y);
}

/// block_memory: bytes of shared memory that a block of the device may have.
template <class Math>
void fused_attention_forward(const AttentionForward<typename Math::Element>& p, std::size_t block_memory,
                             cudaStream_t stream) {
  if (p.of.query_block_count == 0) return;
  with_head(p.of.width, heads_aligned(p.of),
            [&]<int W, bool Aligned>(std::integral_constant<int, W>, std::bool_constant<Aligned>) {
              const auto bytes = []<int Keys>(std::integral_constant<int, Keys>) {
                return AttentionForwardTile<Math, W, Keys>::shared_bytes;
              };
              with_streamed_rows(bytes, block_memory, [&]<int Keys>(std::integral_constant<int, Keys> keys) {
                launch("attention_forward", attention_forward_kernel<Math, W, Keys, Aligned>,
                       dim3(p.of.query_block_count, p.of.heads), 256, bytes(keys), stream, p);
              });
            });
}

}  // namespace loru::cuda
