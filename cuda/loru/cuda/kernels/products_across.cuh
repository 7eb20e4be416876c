#pragma once
// out = scale (u Vᵀ + p Qᵀ + bias): two products in one K loop, the right operands with k along their rows.
// It is
//   S = s x Aᵀ   and   y = x Wᵀ + S Bᵀ + bias.
// A block of 256 threads computes Rows x Cols of it: 128 x 128 with at most 128 registers, two blocks a
// multiprocessor; 64 x Cols for thin results, 32 x 128 for those of few rows. Results of few blocks are cut
// along k into pieces (tuning.hpp), which run over both products.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/pieces.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// What one block of rows computes: u (M, k), V (n, k), p (M, l), Q (n, l), bias (n) or null, out (M, n).
/// Either product may be empty. relu: out = max(0, out) at the end. u is a matrix, or windows of a
/// convolution.
template <class T, class U = Matrix<const T>>
struct AcrossOfBlock {
  U u;
  Matrix<const T> V, p, Q;
  float scale;
  const T* bias;
  bool relu;
  Matrix<T> out;
};

template <class Math, int Rows, int Cols, int Stages>
struct AcrossTile {
  using T = typename Math::Element;
  static constexpr int depth = 64 / sizeof(T), stride = row_stride<T, depth>, stage = (Rows + Cols) * stride;
  static constexpr int warps_down = Rows == 64 ? 4 : 2;
  static constexpr int shared_bytes = sizeof(T) * Stages * stage;
};

/// Aligned: rows of u and V start on 16-byte boundaries; AlignedLast: those of p and Q. Grid (blocks of rows,
/// of columns, pieces).
template <class Math, int Rows, int Cols, bool Aligned, bool AlignedLast, int Stages, class Products>
__global__ void __launch_bounds__(256, Math::tensor_cores ? 2 : 1)
    products_across_kernel(const Products problem, const PieceOfSum piece) {
  using T = typename Math::Element;
  using Tile = AcrossTile<Math, Rows, Cols, Stages>;
  constexpr int depth = Tile::depth, stride = Tile::stride;
  T* const shared = shared_memory<T>();
  const RowBlock block = problem.clients.block(blockIdx.x);
  const auto of = problem.of(block);
  const int column0 = blockIdx.y * Cols;
  constexpr bool in_pieces = decltype(Products::clients)::in_pieces;
  const int first = divide_up(of.u.cols, depth), all = first + divide_up(of.p.cols, depth);
  const int begin = in_pieces ? static_cast<int>(blockIdx.z) * piece.each : 0;
  const int tiles = in_pieces ? min(all, begin + piece.each) : all;

  const auto load_from = [&]<bool Copied>(std::bool_constant<Copied>, T* stage, const auto& left,
                                          const Matrix<const T>& right, int k) {
    load_tile<256, Rows, depth, Copied>(stage, left, block.first, k);
    load_tile<256, Cols, depth, Copied>(stage + Rows * stride, right, column0, k);
  };
  const auto load = [&](int tile) {
    T* const stage = shared + tile % Stages * Tile::stage;
    if (tile < first)
      load_from(std::bool_constant<Aligned>{}, stage, of.u, of.V, tile * depth);
    else
      load_from(std::bool_constant<AlignedLast>{}, stage, of.p, of.Q, (tile - first) * depth);
  };

  BlockSums<Math, Rows, Cols, Tile::warps_down, Across> sums;
  for (int tile = begin; tile < begin + Stages - 1; ++tile) {
    if (tile < tiles) load(tile);
    cp_async_commit();
  }
  for (int tile = begin; tile < tiles; ++tile) {
    cp_async_wait<Stages - 2>();
    __syncthreads();  // `tile` has arrived, and the tile that is overwritten next is no longer read
    if (tile + Stages - 1 < tiles) load(tile + Stages - 1);
    cp_async_commit();
    const T* const stage = shared + tile % Stages * Tile::stage;
    sums.template multiply_add<depth>(Across<T, stride>{stage}, Across<T, stride>{stage + Rows * stride});
  }
  if constexpr (in_pieces)
    if (!join_pieces(piece.memory, sums, blockIdx.y * gridDim.x + blockIdx.x, blockIdx.z, gridDim.z)) return;
  if (of.bias) sums.add_row(of.bias, column0, of.out.cols);
  if (of.relu) sums.relu();
  sums.store(of.out, block.first, column0, of.scale);
}

/// `steps` tiles of 64 bytes of k in all, or 0 for a sum that is not cut.
template <class Math, int Rows, int Cols, class Products>
void products_across(const char* name, const Products& p, Alignment aligned, int steps, const Queue& queue) {
  dim3 grid(p.clients.blocks(), divide_up(p.columns(), Cols));
  SumCut cut{1, whole_sum};
  if (steps > 0)
    cut = product_cut(static_cast<int>(grid.x * grid.y), steps, Math::tensor_cores, queue.multiprocessors);
  grid.z = static_cast<unsigned>(cut.pieces);
  with_stages<aligned_apart<Products>>(
      aligned, queue.stages,
      [&]<bool Aligned, bool Last, int Stages>(std::bool_constant<Aligned>, std::bool_constant<Last>,
                                               std::integral_constant<int, Stages>) {
        launch(name, products_across_kernel<Math, Rows, Cols, Aligned, Last, Stages, Products>, grid, 256,
               AcrossTile<Math, Rows, Cols, Stages>::shared_bytes, queue.stream, p,
               PieceOfSum{queue.pieces, cut.each});
      });
}

}  // namespace loru::cuda
