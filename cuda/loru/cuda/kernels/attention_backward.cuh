#pragma once
// The backward pass of attention: δ, then dq by blocks of queries and dk and dv by blocks of keys. No block
// adds to what another one writes.
#include <loru/cuda/kernels/attention_dkv.cuh>
#include <loru/cuda/kernels/attention_dq.cuh>

namespace loru::cuda {

/// delta = Σ dy ⊙ y of each row and head, a warp each.
template <class T>
__global__ void __launch_bounds__(256)
    attention_delta_kernel(int count, int width, const T* y, const T* dy, float* delta) {
  const int i = static_cast<int>(blockIdx.x) * 8 + static_cast<int>(threadIdx.x) / 32;
  if (i >= count) return;
  const std::int64_t first = static_cast<std::int64_t>(i) * width;
  float sum = 0.0f;
  for (int j = threadIdx.x % 32; j < width; j += 32)
    sum = fmaf(to_float(y[first + j]), to_float(dy[first + j]), sum);
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) sum += __shfl_xor_sync(~0u, sum, distance);
  if (threadIdx.x % 32 == 0) delta[i] = sum;
}

template <class Math, int W, bool Aligned>
void start_dq(const AttentionBackward<typename Math::Element>& p, std::size_t block_memory,
              cudaStream_t stream) {
  const auto bytes = []<int Keys>(std::integral_constant<int, Keys>) {
    return AttentionDqTile<Math, W, Keys>::shared_bytes;
  };
  with_streamed_rows(bytes, block_memory, [&]<int Keys>(std::integral_constant<int, Keys> keys) {
    launch("attention_dq", attention_dq_kernel<Math, W, Keys, Aligned>,
           dim3(p.of.query_block_count, p.of.heads), 256, bytes(keys), stream, p);
  });
}

template <class Math, int W, bool Aligned>
void start_dkv(const AttentionBackward<typename Math::Element>& p, std::size_t block_memory,
               cudaStream_t stream) {
  const auto bytes = []<int Queries>(std::integral_constant<int, Queries>) {
    return AttentionDkvTile<Math, W, Queries>::shared_bytes;
  };
  with_streamed_rows(bytes, block_memory, [&]<int Queries>(std::integral_constant<int, Queries> queries) {
    launch("attention_dkv", attention_dkv_kernel<Math, W, Queries, Aligned>,
           dim3(p.of.key_block_count, p.of.groups), 256, bytes(queries), stream, p);
  });
}

/// block_memory: bytes of shared memory that a block of the device may have.
template <class Math>
void fused_attention_backward(const AttentionBackward<typename Math::Element>& p, std::size_t block_memory,
                              cudaStream_t stream) {
  using T = typename Math::Element;
  const int rows = p.of.rows * p.of.heads;
  if (rows > 0)
    launch("attention_delta", attention_delta_kernel<T>, divide_up(rows, 8), 256, 0, stream, rows, p.of.width,
           p.y, p.dy, p.delta);
  with_head(p.of.width, heads_aligned(p.of, p.dy),
            [&]<int W, bool Aligned>(std::integral_constant<int, W>, std::bool_constant<Aligned>) {
              if (p.dq && p.of.query_block_count > 0) start_dq<Math, W, Aligned>(p, block_memory, stream);
              if ((p.dk || p.dv) && p.of.key_block_count > 0)
                start_dkv<Math, W, Aligned>(p, block_memory, stream);
            });
}

}  // namespace loru::cuda
