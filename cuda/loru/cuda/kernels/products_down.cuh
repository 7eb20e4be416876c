#pragma once
// out = scale (u V + p Q): two products in one K loop, the right operands with k down their columns. It is
//   dx = dy W + dS A   and, for cohorts of any rank,   dS = s dy B.
// A block of 256 threads computes Rows x Cols of it: 128 x 128, 64 x 64 for results of few columns, 32 x 128
// for those of few rows. Three stages of at most 19 KB and, on tensor cores, at most 128 registers allow two
// blocks a multiprocessor; in plain float arithmetic one. Results of few blocks are cut along k into pieces.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/pieces.cuh>
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
  static constexpr int products = 2;
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
  static constexpr int products = 1;
  int columns() const { return dS.cols; }
};

template <class Math, int Rows, int Cols>
struct ProductsTile {
  using T = typename Math::Element;
  static constexpr int rows = Rows, cols = Cols, depth = 64 / sizeof(T), stages = 3;
  static constexpr int warps_down = Rows == 64 ? 4 : 2;
  static constexpr int left_stride = row_stride<T, depth>, right_stride = down_stride<Math, cols>;
  static constexpr int right_at = rows * left_stride, stage = right_at + depth * right_stride;
  static constexpr int shared_bytes = sizeof(T) * stages * stage;
};

/// Aligned: rows of u and V start on 16-byte boundaries; AlignedLast: those of p and Q. Grid (blocks of rows,
/// of columns, pieces).
template <class Math, int Rows, int Cols, bool Aligned, bool AlignedLast, class Products>
__global__ void __launch_bounds__(256, Math::tensor_cores ? 2 : 1)
    products_down_kernel(const Products p, const PieceOfSum piece) {
  using T = typename Math::Element;
  using Tile = ProductsTile<Math, Rows, Cols>;
  constexpr int depth = Tile::depth, stages = Tile::stages;
  T* const shared = shared_memory<T>();
  const RowBlock block = p.clients.block(blockIdx.x);
  const auto of = p.of(block);
  const int column0 = blockIdx.y * Tile::cols;
  constexpr bool in_pieces = decltype(Products::clients)::in_pieces;
  const int first = divide_up(of.u.cols, depth), all = first + divide_up(of.p.cols, depth);
  const int begin = in_pieces ? static_cast<int>(blockIdx.z) * piece.each : 0;
  const int tiles = in_pieces ? min(all, begin + piece.each) : all;

  const auto load_from = [&]<bool Copied>(std::bool_constant<Copied>, T* stage, const auto& left,
                                          const auto& right, int k) {
    load_tile<256, Tile::rows, depth, Copied>(stage, left, block.first, k);
    load_tile<256, depth, Tile::cols, Copied, Tile::right_stride>(stage + Tile::right_at, right, k, column0);
  };
  const auto load = [&](int tile) {
    T* const stage = shared + tile % stages * Tile::stage;
    if (tile < first)
      load_from(std::bool_constant<Aligned>{}, stage, of.u, of.V, tile * depth);
    else
      load_from(std::bool_constant<AlignedLast>{}, stage, of.p, of.Q, (tile - first) * depth);
  };

  BlockSums<Math, Rows, Cols, Tile::warps_down> sums;
#pragma unroll 1
  for (int tile = begin; tile < begin + stages - 1; ++tile) {
    if (tile < tiles) load(tile);
    cp_async_commit();
  }
  for (int tile = begin; tile < tiles; ++tile) {
    cp_async_wait<stages - 2>();
    __syncthreads();  // `tile` has arrived, and the tile that is overwritten next is no longer read
    if (tile + stages - 1 < tiles) load(tile + stages - 1);
    cp_async_commit();
    const T* const stage = shared + tile % stages * Tile::stage;
    sums.template multiply_add<depth>(Across<T, Tile::left_stride>{stage},
                                      Down<T, Tile::right_stride>{stage + Tile::right_at});
  }
  if constexpr (in_pieces)
    if (!join_pieces(piece.memory, sums, blockIdx.y * gridDim.x + blockIdx.x, blockIdx.z, gridDim.z)) return;
  const auto result = p.of(block);  // again, to keep no registers over the loop
  sums.store(result.out, block.first, column0, result.scale);
}

/// p.clients cuts rows into blocks of at most `Rows`. `steps` tiles of 64 bytes of k in all, or 0 for a sum
/// that is not cut.
template <class Math, int Rows, int Cols, class Products>
void products_down(const char* name, const Products& p, Alignment aligned, int steps, const Queue& queue) {
  dim3 grid(p.clients.blocks(), divide_up(p.columns(), Cols));
  SumCut cut{1, whole_sum};
  if (steps > 0)
    cut = product_cut(static_cast<int>(grid.x * grid.y), steps, Math::tensor_cores, queue.multiprocessors);
  grid.z = static_cast<unsigned>(cut.pieces);
  const auto start = [&]<bool Aligned, bool Last>(std::bool_constant<Aligned>, std::bool_constant<Last>) {
    launch(name, products_down_kernel<Math, Rows, Cols, Aligned, Last, Products>, grid, 256,
           ProductsTile<Math, Rows, Cols>::shared_bytes, queue.stream, p, PieceOfSum{queue.pieces, cut.each});
  };
  with_alignment<aligned_apart<Products>>(aligned, start);
}

}  // namespace loru::cuda
