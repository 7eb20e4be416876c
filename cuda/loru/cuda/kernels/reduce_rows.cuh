#pragma once
// Factor gradients: sums over the rows of a thin matrix against a wide one,
//   dB = dyᵀ S  (m, r)   and   dA = dSᵀ x  (r, n), computed as xᵀ dS and written transposed.
//
// Rows are cut into parts whose height depends on the shape and the device alone; each block of threads sums
// 128 columns of the wide matrix against R of the thin one over one part. Its sums are the gradient, if
// there is one part, or a piece of it. One client's pieces are added by the last block to come
// (device/pieces.cuh); in a cohort by another kernel, in the same order: a client gets the same bits alone
// and in a cohort.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/pieces.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// Rows of a part of a reduction of `rows` rows of `columns` columns against `ranks`.
inline int rows_of_part(int rows, int columns, int ranks, int multiprocessors) {
  return row_cut(rows, columns, ranks, multiprocessors).each * reduction_step;
}

/// Where a client's gradient goes: the sum of parts first_part .. first_part + parts to `sum`.
struct Gradient {
  Matrix<float> sum;
  int first_part, parts;
};

struct OneGradient {
  static constexpr bool joined = true;  // by the blocks themselves
  Gradient one;
  __host__ __device__ const Gradient& gradient(int) const { return one; }
};
struct ManyGradients {
  static constexpr bool joined = false;
  const Gradient* table;  // in device memory, one a client
  __device__ const Gradient& gradient(int k) const { return table[k]; }
};

/// wide (M, c), thin (M, r). Transposed: gradients are (r, c), else (c, r). clients.block(i) is the i-th part
/// of the cut, of one client. Parts are joined in `pieces`, or stand in `parts`, part_size floats each.
/// Wide is a matrix, or the windows of a convolution.
template <class T, class Clients, class Gradients, class Wide = Matrix<const T>>
struct ReduceRows {
  Wide wide;
  Matrix<const T> thin;
  bool transposed;
  Clients clients;
  Gradients gradients;
  Pieces pieces{};
  float* parts = nullptr;
  std::int64_t part_size = 0;

  /// Where the sums of part i go; a part's matrix is dense.
  __device__ Matrix<float> part(const Gradient& to, int i) const {
    return Gradients::joined || to.parts == 1
               ? to.sum
               : Matrix<float>{parts + i * part_size, to.sum.rows, to.sum.cols, to.sum.cols};
  }
};

template <class Math, int R>
struct ReduceTile {
  using T = typename Math::Element;
  static constexpr int cols = 128, depth = 128 / sizeof(T), stages = 3;
  static constexpr int wide_stride = row_stride<T, cols>, thin_stride = row_stride<T, R>;
  static constexpr int thin_at = depth * wide_stride, stage = thin_at + depth * thin_stride;
  static constexpr int shared_bytes = sizeof(T) * stages * stage;  // 61 to 80 KB: two blocks a multiprocessor
};

/// Aligned: rows of the wide matrix start on 16-byte boundaries; AlignedThin: those of the thin one.
template <class Math, int R, bool Aligned, bool AlignedThin, class Clients, class Gradients,
          class Wide = Matrix<const typename Math::Element>>
__global__ void __launch_bounds__(256, 2)
    reduce_rows_kernel(const ReduceRows<typename Math::Element, Clients, Gradients, Wide> p) {
  using T = typename Math::Element;
  using Tile = ReduceTile<Math, R>;
  constexpr int depth = Tile::depth, stages = Tile::stages;
  T* const shared = shared_memory<T>();
  const RowBlock block = p.clients.block(blockIdx.x);
  const Gradient& gradient = p.gradients.gradient(block.client);
  const Wide wide = rows_before(p.wide, block.last);
  const Matrix<const T> thin = rows_before(p.thin, block.last);
  const int column0 = blockIdx.y * Tile::cols, q0 = blockIdx.z * R;

  const auto load = [&](int tile) {
    T* const stage = shared + tile % stages * Tile::stage;
    const int row = block.first + tile * depth;
    load_tile<256, depth, Tile::cols, Aligned>(stage, wide, row, column0);
    load_tile<256, depth, R, AlignedThin>(stage + Tile::thin_at, thin, row, q0);
  };

  BlockSums<Math, 128, R, 8> sums;
  const int tiles = divide_up(block.last - block.first, depth);
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
    sums.template multiply_add<depth>(Down<T, Tile::wide_stride>{stage},
                                      Down<T, Tile::thin_stride>{stage + Tile::thin_at});
  }

  if constexpr (Gradients::joined)
    if (!join_pieces(p.pieces, sums, blockIdx.z * gridDim.y + blockIdx.y, blockIdx.x, gridDim.x)) return;
  const Matrix<float> out = p.part(gradient, blockIdx.x);
  sums.for_each_run([&](int i, int q, const auto& run) {
    if (!p.transposed) return store_run(out, column0 + i, q0 + q, run);
#pragma unroll
    for (int e = 0; e < decltype(sums)::run_length; ++e)
      if (out.holds(q0 + q + e, column0 + i)) *out.at(q0 + q + e, column0 + i) = run[e];
  });
}

/// gradient = the sum of its parts, in the order of join_pieces. Grid (elements / 256, clients).
template <class Gradients>
__global__ void __launch_bounds__(256)
    sum_parts_kernel(const Gradients gradients, const float* parts, std::int64_t part_size) {
  const Gradient& to = gradients.gradient(blockIdx.y);
  const int i = static_cast<int>(blockIdx.x * 256 + threadIdx.x);
  if (to.parts == 1 || i >= to.sum.rows * to.sum.cols) return;
  const int each = pieces_of_group(to.parts);
  float sum = 0.0f;
  for (int first = 0; first < to.parts; first += each) {
    float group = 0.0f;
    for (int part = first; part < min(first + each, to.parts); ++part)
      group += parts[(to.first_part + part) * part_size + i];
    sum += group;
  }
  *to.sum.at(i / to.sum.cols, i % to.sum.cols) = sum;
}

/// rank: the largest of the clients', of any size. aligned: rows of wide, of thin.
template <class Math, class Clients, class Gradients, class Wide>
void start_reduction(const ReduceRows<typename Math::Element, Clients, Gradients, Wide>& p, int rank,
                     Alignment aligned, cudaStream_t stream) {
  with_rank_bucket(rank, [&]<int R>(std::integral_constant<int, R>) {
    const dim3 grid(p.clients.blocks(), divide_up(p.wide.cols, 128), divide_up(rank, R));
    with_alignment<Gradients::joined>(
        aligned, [&]<bool Wider, bool Thin>(std::bool_constant<Wider>, std::bool_constant<Thin>) {
          launch("reduce_rows", reduce_rows_kernel<Math, R, Wider, Thin, Clients, Gradients, Wide>, grid, 256,
                 ReduceTile<Math, R>::shared_bytes, stream, p);
        });
  });
}

/// sum = wideᵀ thin, or its transpose.
template <class Math, class Wide, class T = typename Math::Element>
void reduce_rows(const Wide& wide, Matrix<const T> thin, bool transposed, Matrix<float> sum,
                 const Queue& queue) {
  const int M = wide.rows, height = rows_of_part(M, wide.cols, thin.cols, queue.multiprocessors);
  start_reduction<Math>(
      ReduceRows<T, OneClient<T>, OneGradient, Wide>{
          wide, thin, transposed, {{}, M, height}, {Gradient{sum, 0, divide_up(M, height)}}, queue.pieces},
      thin.cols, {rows_aligned(wide), rows_aligned(thin)}, queue.stream);
}

}  // namespace loru::cuda
