#pragma once
// dx = dy W + dS A in one pass over dy, with dS = s dy B computed beside it and kept for dA = dSᵀ x.
//   dy (M, m), W (m, n), A (r, n), B (m, r), dx (M, n), dS (M, r); r at most 64.
//
// A block computes a 128 x 128 tile of dx and the 128 x R tile of dS that it needs: one K loop over m stages
// tiles of dy, W and B and feeds both sums. dS, scaled in float and rounded once, then meets A in extra steps
// of k. Each column of blocks computes dS again; the first writes it. On tensor cores at R <= 32 registers
// (at most 128) and shared memory (57 to 66 KB) allow two blocks a multiprocessor, otherwise one.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

template <class T, class Clients>
struct BackwardDx {
  Matrix<const T> dy, W;
  Clients clients;
  Matrix<T> dx, dS;  // dS has a column for each rank of the client with the most
};

/// R is the largest rank rounded up to 16, 32 or 64.
template <class Math, int R>
struct BackwardDxTile {
  using T = typename Math::Element;
  static constexpr int rows = 128, cols = 128, depth = 64 / sizeof(T), stages = 3;
  static constexpr int dy_stride = row_stride<T, depth>, W_stride = down_stride<Math, cols>,
                       B_stride = down_stride<Math, R>, dS_stride = row_stride<T, R>;
  static constexpr int W_at = rows * dy_stride, B_at = W_at + depth * W_stride,
                       stage = B_at + depth * B_stride;
  static constexpr int A_at = rows * dS_stride, epilogue = A_at + R * W_stride;
  static constexpr int shared_bytes = sizeof(T) * std::max(stages * stage, epilogue);
};

/// Aligned: rows of dy, W, A and B start on 16-byte boundaries.
template <class Math, int R, bool Aligned, class Clients>
__global__ void __launch_bounds__(256, Math::tensor_cores&& R <= 32 ? 2 : 1)
    lora_backward_dx_kernel(const BackwardDx<typename Math::Element, Clients> p) {
  using T = typename Math::Element;
  using Tile = BackwardDxTile<Math, R>;
  constexpr int depth = Tile::depth, stages = Tile::stages;
  T* const shared = shared_memory<T>();
  const RowBlock block = p.clients.block(blockIdx.x);
  const Client<T>& client = p.clients.client(block.client);
  const Matrix<const T> B{client.B.data, p.dy.cols, client.B.cols, client.B.ld};
  const Matrix<const T> dy = rows_before(p.dy, block.last);
  const int column0 = blockIdx.y * Tile::cols;

  const auto load = [&](int tile) {
    T* const stage = shared + tile % stages * Tile::stage;
    load_tile<256, Tile::rows, depth, Aligned>(stage, dy, block.first, tile * depth);
    load_tile<256, depth, Tile::cols, Aligned, Tile::W_stride>(stage + Tile::W_at, p.W, tile * depth,
                                                               column0);
    load_tile<256, depth, R, Aligned, Tile::B_stride>(stage + Tile::B_at, B, tile * depth, 0);
  };

  BlockSums<Math, 128, 128, 2> dx;
  BlockSums<Math, 128, R, 8> dS;
  const int tiles = divide_up(dy.cols, depth);
#pragma unroll 1
  for (int tile = 0; tile < stages - 1; ++tile) {
    if (tile < tiles) load(tile);
    cp_async_commit();
  }
  for (int tile = 0; tile < tiles; ++tile) {
    cp_async_wait<stages - 2>();
    __syncthreads();  // `tile` has arrived, and the tile that is overwritten next is no longer read
    if (tile + stages - 1 < tiles) load(tile + stages - 1);
    cp_async_commit();
    const T* const stage = shared + tile % stages * Tile::stage;
    const Across<T, Tile::dy_stride> left{stage};
#pragma unroll
    for (int k = 0; k < depth; k += decltype(dx)::step) {
      dS.multiply_add_step(left, Down<T, Tile::B_stride>{stage + Tile::B_at}, k);
      dx.multiply_add_step(left, Down<T, Tile::W_stride>{stage + Tile::W_at}, k);
    }
  }

  __syncthreads();  // the stages' memory now holds dS and A
  load_tile<256, R, Tile::cols, Aligned, Tile::W_stride>(shared + Tile::A_at, client.A, 0, column0);
  cp_async_commit();
  dS.template store_shared<Tile::dS_stride>(shared, client.s);
  if (blockIdx.y == 0) {
    Matrix<T> out = rows_before(p.dS, block.last);
    out.cols = client.A.rows;
    dS.store(out, block.first, 0, client.s);
  }
  cp_async_wait<0>();
  __syncthreads();
  dx.template multiply_add<R>(Across<T, Tile::dS_stride>{shared},
                              Down<T, Tile::W_stride>{shared + Tile::A_at});
  dx.store(rows_before(p.dx, block.last), block.first, column0, 1.0f);
}

/// rank: the largest of the clients'; aligned: as the kernel wants it of all matrices.
template <class Math, class Clients>
void lora_backward_dx(const BackwardDx<typename Math::Element, Clients>& p, int rank, bool aligned,
                      cudaStream_t stream) {
  const dim3 grid(p.clients.blocks(), divide_up(p.W.cols, 128));
  const auto start = [&]<int R>(std::integral_constant<int, R>) {
    const auto kernel = aligned ? lora_backward_dx_kernel<Math, R, true, Clients>
                                : lora_backward_dx_kernel<Math, R, false, Clients>;
    launch("lora_backward_dx", kernel, grid, 256, BackwardDxTile<Math, R>::shared_bytes, stream, p);
  };
  with_rank_bucket(rank, start);
}

}  // namespace loru::cuda
