#pragma once
// y = x Wᵀ + s (x Aᵀ) Bᵀ + bias in one pass over x, with S = s x Aᵀ computed beside it and kept for the
// backward pass.
//   x (M, n), W (m, n), A (r, n), B (m, r), bias (m), y (M, m), S (M, r); r at most 64.
//
// A block computes a 128 x 128 tile of y and the 128 x R tile of S that it needs: one K loop over n stages
// tiles of x, W and A and feeds both sums. S, scaled in float and rounded once, then meets B in extra steps
// of k. Each column of blocks computes S again; the first writes it. On tensor cores at most 128 registers,
// two blocks a multiprocessor, up to R = 32; unaligned tf32 and the windows of a convolution up to 16, in
// tf32 up to 8.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/windows.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// X is a matrix, or the windows of a convolution.
template <class T, class Clients, class X = Matrix<const T>>
struct Forward {
  X x;
  Matrix<const T> W;
  Clients clients;
  const T* bias;   // or null
  bool relu;       // y = max(0, y) at the end
  Matrix<T> y, S;  // S has a column for each rank of the client with the most
};

/// R is the largest rank rounded up to 8 (tensor cores only), 16, 32 or 64.
template <class Math, int R, int Stages>
struct ForwardTile {
  using T = typename Math::Element;
  static constexpr int rows = 128, cols = 128, depth = 64 / sizeof(T), stages = Stages;
  static constexpr int stride = row_stride<T, depth>,
                       stage = (rows + cols + R) * stride;           // of x, then W, then A
  static constexpr int ranks = R < mma_depth<T> ? mma_depth<T> : R;  // as the product with B wants
  static constexpr int S_stride = row_stride<T, ranks>, epilogue = (rows + cols) * S_stride;  // S, then B
  static constexpr int shared_bytes = sizeof(T) * (stages * stage > epilogue ? stages * stage : epilogue);
};

/// The largest R for which registers must allow two blocks a multiprocessor; addresses of windows take some
/// of them.
template <class Math, bool Aligned, class X>
inline constexpr int two_blocks_up_to = !Math::tensor_cores ? 0
                                        : Gathered<X> ? 32 / static_cast<int>(sizeof(typename Math::Element))
                                        : Aligned || sizeof(typename Math::Element) == 2 ? 32
                                                                                         : 16;

/// Aligned: rows of x, W, A and B start on 16-byte boundaries.
template <class Math, int R, bool Aligned, int Stages, class Clients,
          class X = Matrix<const typename Math::Element>>
__global__ void __launch_bounds__(256, R <= two_blocks_up_to<Math, Aligned, X> ? 2 : 1)
    lora_forward_kernel(const Forward<typename Math::Element, Clients, X> p) {
  using T = typename Math::Element;
  using Tile = ForwardTile<Math, R, Stages>;
  constexpr int depth = Tile::depth, stride = Tile::stride;
  T* const shared = shared_memory<T>();
  const RowBlock block = p.clients.block(blockIdx.x);
  const Client<T> client = p.clients.client(block.client);
  const X x = rows_before(p.x, block.last);
  const int column0 = blockIdx.y * Tile::cols;

  const auto load = [&](int tile) {
    T* const stage = shared + tile % Stages * Tile::stage;
    load_tile<256, Tile::rows, depth, Aligned>(stage, x, block.first, tile * depth);
    load_tile<256, Tile::cols, depth, Aligned>(stage + Tile::rows * stride, p.W, column0, tile * depth);
    load_tile<256, R, depth, Aligned>(stage + (Tile::rows + Tile::cols) * stride, client.A, 0, tile * depth);
  };

  BlockSums<Math, 128, 128, 2, Across> y;
  BlockSums<Math, 128, R, 8, Across> S;
  const int tiles = divide_up(x.cols, depth);
#pragma unroll 1
  for (int tile = 0; tile < Stages - 1; ++tile) {
    if (tile < tiles) load(tile);
    cp_async_commit();
  }
  for (int tile = 0; tile < tiles; ++tile) {
    cp_async_wait<Stages - 2>();
    __syncthreads();  // `tile` has arrived, and the tile that is overwritten next is no longer read
    if (tile + Stages - 1 < tiles) load(tile + Stages - 1);
    cp_async_commit();
    const T* const stage = shared + tile % Stages * Tile::stage;
    const Across<T, stride> left{stage}, W{stage + Tile::rows * stride};
    const Across<T, stride> A{W.tile + Tile::cols * stride};
#pragma unroll
    for (int k = 0; k < depth; k += decltype(y)::step) {
      // Either order would do; these are the ones for which nvcc 13 finds 128 registers enough.
      if constexpr (sizeof(T) == 2) S.multiply_add_step(left, A, k);
      y.multiply_add_step(left, W, k);
      if constexpr (sizeof(T) == 4) S.multiply_add_step(left, A, k);
    }
  }

  __syncthreads();  // the stages' memory now holds S and B
  T* const Ss = shared;
  T* const Bs = shared + Tile::rows * Tile::S_stride;
  load_tile<256, Tile::cols, Tile::ranks, Aligned>(Bs, client.B, column0, 0);
  cp_async_commit();
  S.template store_shared<Tile::S_stride>(Ss, client.s);
  if constexpr (R < Tile::ranks)
    BlockSums<Math, 128, Tile::ranks - R, 8, Across>{}.template store_shared<Tile::S_stride>(Ss + R, 0.0f);
  if (blockIdx.y == 0) {
    Matrix<T> out = rows_before(p.S, block.last);
    out.cols = client.A.rows;
    S.store(out, block.first, 0, client.s);
  }
  cp_async_wait<0>();
  __syncthreads();
  y.template multiply_add<Tile::ranks>(Across<T, Tile::S_stride>{Ss}, Across<T, Tile::S_stride>{Bs});
  if (p.bias) y.add_row(p.bias, column0, p.y.cols);
  if (p.relu) y.relu();
  y.store(rows_before(p.y, block.last), block.first, column0, 1.0f);
}

}  // namespace loru::cuda
