#pragma once
// out = scale (u V + p Q): two products in one K loop, the right operands with k down their columns. It is
//   dx = dy W + dS A   and, for cohorts of any rank,   dS = s dy B.
// A block of 256 threads computes Rows x Cols of it: 128 x 128, or 64 x 64 for results of few columns. Three
// stages of at most 19 KB and, on tensor cores, at most 128 registers allow two blocks a multiprocessor; in
// plain float arithmetic one.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// What one block of rows computes: u (M, k), V (k, n), p (M, l), Q (l, n), out (M, n). Either product may be
/// empty. Operands are matrices, or a convolution's windows and rows of places.
template <class T, class Left = Matrix<const T>, class Right = Matrix<const T>>
struct ProductsOfBlock {
  Left u;
  Right V;
  Left p;
  Right Q;
  float scale;
  Matrix<T> out;
};

/// dx = dy W + dS A, a client's own A.
template <class T, class Clients>
struct SplitDx {
  Matrix<const T> dy, W, dS;
  Clients clients;
  Matrix<T> dx;

  __device__ ProductsOfBlock<T> of(const RowBlock& block) const {
    const Client<T>& client = clients.client(block.client);
    Matrix<const T> own = rows_before(dS, block.last);
    own.cols = client.A.rows;
    const Matrix<const T> A{client.A.data, own.cols, W.cols, client.A.ld};
    return {rows_before(dy, block.last), W, own, A, 1.0f, rows_before(dx, block.last)};
  }
  int columns() const { return W.cols; }
};

/// dS = s dy B, a client's own B.
template <class T, class Clients>
struct SplitDs {
  Matrix<const T> dy;
  Clients clients;
  Matrix<T> dS;

  __device__ ProductsOfBlock<T> of(const RowBlock& block) const {
    const Client<T>& client = clients.client(block.client);
    Matrix<T> own = rows_before(dS, block.last);
    own.cols = client.B.cols;
    return {rows_before(dy, block.last), client.B, {}, {}, client.s, own};
  }
  int columns() const { return dS.cols; }
};

template <class Math, int Rows, int Cols>
struct ProductsTile {
  using T = typename Math::Element;
  static constexpr int rows = Rows, cols = Cols, depth = 64 / sizeof(T), stages = 3;
  static constexpr int warps_down = Rows == 128 ? 2 : 4;
  static constexpr int left_stride = row_stride<T, depth>, right_stride = down_stride<Math, cols>;
  static constexpr int right_at = rows * left_stride, stage = right_at + depth * right_stride;
  static constexpr int shared_bytes = sizeof(T) * stages * stage;
};

/// Aligned: rows of all operands start on 16-byte boundaries.
template <class Math, int Rows, int Cols, bool Aligned, class Products>
__global__ void __launch_bounds__(256, Math::tensor_cores ? 2 : 1) products_down_kernel(const Products p) {
  using T = typename Math::Element;
  using Tile = ProductsTile<Math, Rows, Cols>;
  constexpr int depth = Tile::depth, stages = Tile::stages;
  T* const shared = shared_memory<T>();
  const RowBlock block = p.clients.block(blockIdx.x);
  const auto of = p.of(block);
  const int column0 = blockIdx.y * Tile::cols;
  const int first = divide_up(of.u.cols, depth), tiles = first + divide_up(of.p.cols, depth);

  const auto load_from = [&](T* stage, const auto& left, const auto& right, int k) {
    load_tile<256, Tile::rows, depth, Aligned>(stage, left, block.first, k);
    load_tile<256, depth, Tile::cols, Aligned, Tile::right_stride>(stage + Tile::right_at, right, k, column0);
  };
  const auto load = [&](int tile) {
    T* const stage = shared + tile % stages * Tile::stage;
    if (tile < first)
      load_from(stage, of.u, of.V, tile * depth);
    else
      load_from(stage, of.p, of.Q, (tile - first) * depth);
  };

  BlockSums<Math, Rows, Cols, Tile::warps_down> sums;
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
    sums.template multiply_add<depth>(Across<T, Tile::left_stride>{stage},
                                      Down<T, Tile::right_stride>{stage + Tile::right_at});
  }
  const auto result = p.of(block);  // again, to keep no registers over the loop
  sums.store(result.out, block.first, column0, result.scale);
}

/// p.clients cuts rows into blocks of at most `Rows`.
template <class Math, int Rows, int Cols, class Products>
void products_down(const char* name, const Products& p, bool aligned, cudaStream_t stream) {
  const dim3 grid(p.clients.blocks(), divide_up(p.columns(), Cols));
  const auto kernel = aligned ? products_down_kernel<Math, Rows, Cols, true, Products>
                              : products_down_kernel<Math, Rows, Cols, false, Products>;
  launch(name, kernel, grid, 256, ProductsTile<Math, Rows, Cols>::shared_bytes, stream, p);
}

}  // namespace loru::cuda
