#pragma once
// out = scale (u Vᵀ + p Qᵀ + bias): two products in one K loop, the right operands with k along their rows.
// It is
//   S = s x Aᵀ   and   y = x Wᵀ + S Bᵀ + bias.
// A block of 256 threads computes Rows x Cols of it: 128 x 128 with at most 128 registers, two blocks a
// multiprocessor; or 64 x Cols for thin results, which would otherwise be too few blocks.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
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
  static constexpr int warps_down = Rows == 128 ? 2 : 4;
  static constexpr int shared_bytes = sizeof(T) * Stages * stage;
};

/// Aligned: rows of all operands start on 16-byte boundaries.
template <class Math, int Rows, int Cols, bool Aligned, int Stages, class Products>
__global__ void __launch_bounds__(256, Math::tensor_cores ? 2 : 1)
    products_across_kernel(const Products problem) {
  using T = typename Math::Element;
  using Tile = AcrossTile<Math, Rows, Cols, Stages>;
  constexpr int depth = Tile::depth, stride = Tile::stride;
  T* const shared = shared_memory<T>();
  const RowBlock block = problem.clients.block(blockIdx.x);
  const auto of = problem.of(block);
  const int column0 = blockIdx.y * Cols;
  const int first = divide_up(of.u.cols, depth), tiles = first + divide_up(of.p.cols, depth);

  const auto load_from = [&](T* stage, const auto& left, const Matrix<const T>& right, int k) {
    load_tile<256, Rows, depth, Aligned>(stage, left, block.first, k);
    load_tile<256, Cols, depth, Aligned>(stage + Rows * stride, right, column0, k);
  };
  const auto load = [&](int tile) {
    T* const stage = shared + tile % Stages * Tile::stage;
    if (tile < first)
      load_from(stage, of.u, of.V, tile * depth);
    else
      load_from(stage, of.p, of.Q, (tile - first) * depth);
  };

  BlockSums<Math, Rows, Cols, Tile::warps_down, Across> sums;
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
    sums.template multiply_add<depth>(Across<T, stride>{stage}, Across<T, stride>{stage + Rows * stride});
  }
  if (of.bias) sums.add_row(of.bias, column0, of.out.cols);
  if (of.relu) sums.relu();
  sums.store(of.out, block.first, column0, of.scale);
}

template <class Math, int Rows, int Cols, class Products>
void products_across(const char* name, const Products& p, bool aligned, int stages, cudaStream_t stream) {
  const dim3 grid(p.clients.blocks(), divide_up(p.columns(), Cols));
  with_stages(
      aligned, stages,
      [&]<bool Aligned, int Stages>(std::bool_constant<Aligned>, std::integral_constant<int, Stages>) {
        launch(name, products_across_kernel<Math, Rows, Cols, Aligned, Stages, Products>, grid, 256,
               AcrossTile<Math, Rows, Cols, Stages>::shared_bytes, stream, p);
      });
}

}  // namespace loru::cuda
