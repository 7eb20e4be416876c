#pragma once
// Factor gradients: sums over the rows of a thin matrix against a wide one,
//   dB = dyᵀ S  (m, r)   and   dA = dSᵀ x  (r, n), computed as xᵀ dS and written transposed.
//
// Rows are cut into blocks whose height depends on the shape alone; each block of threads sums 128 columns of
// the wide matrix against R of the thin one over one such block of rows. Its sums are the gradient, if there
// is one block of rows, or a part of it; parts are added in increasing order. So the bits depend on the shape
// and on nothing else, and a client gets the same ones alone and in a cohort.
#include <loru/cuda/device/block_product.cuh>
#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/kernels/clients.cuh>

namespace loru::cuda {

/// Rows of one block of the cut: enough blocks to fill a device (about 256 over the columns), 512 rows at
/// least.
inline int rows_of_part(int rows, int columns) {
  const int wanted = divide_up(256, std::max(1, divide_up(columns, 128)));
  return std::max(512, divide_up(divide_up(rows, wanted), 128) * 128);
}

/// Where a client's gradient goes: parts first_part .. first_part + parts of the workspace, their sum to
/// `sum`.
struct Gradient {
  Matrix<float> sum;
  int first_part, parts;
};

struct OneGradient {
  Gradient one;
  __host__ __device__ const Gradient& gradient(int) const { return one; }
};
struct ManyGradients {
  const Gradient* table;  // in device memory, one a client
  __device__ const Gradient& gradient(int k) const { return table[k]; }
};

/// wide (M, c), thin (M, r). Transposed: gradients are (r, c), else (c, r). clients.block(i) is the i-th part
/// of the cut, of one client; the workspace holds part_size floats a part.
/// Wide is a matrix, or the windows of a convolution.
template <class T, class Clients, class Gradients, class Wide = Matrix<const T>>
struct ReduceRows {
  Wide wide;
  Matrix<const T> thin;
  bool transposed;
  Clients clients;
  Gradients gradients;
  float* parts;
  std::int64_t part_size;

  /// The part's matrix, dense.
  __device__ Matrix<float> part(const Gradient& to, int i) const {
    return to.parts == 1 ? to.sum
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

/// Aligned: rows of both matrices start on 16-byte boundaries.
template <class Math, int R, bool Aligned, class Clients, class Gradients,
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
    load_tile<256, depth, R, Aligned>(stage + Tile::thin_at, thin, row, q0);
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

  const Matrix<float> out = p.part(gradient, blockIdx.x);
  sums.for_each_run([&](int i, int q, const auto& run) {
    if (!p.transposed) return store_run(out, column0 + i, q0 + q, run);
#pragma unroll
    for (int e = 0; e < decltype(sums)::run_length; ++e)
      if (out.holds(q0 + q + e, column0 + i)) *out.at(q0 + q + e, column0 + i) = run[e];
  });
}

/// gradient = the sum of its parts, in increasing order. Grid (elements / 256, clients).
template <class Gradients>
__global__ void __launch_bounds__(256)
    sum_parts_kernel(const Gradients gradients, const float* parts, std::int64_t part_size) {
  const Gradient& to = gradients.gradient(blockIdx.y);
  const int i = static_cast<int>(blockIdx.x * 256 + threadIdx.x);
  if (to.parts == 1 || i >= to.sum.rows * to.sum.cols) return;
  float sum = 0.0f;
  for (int part = to.first_part; part < to.first_part + to.parts; ++part) sum += parts[part * part_size + i];
  *to.sum.at(i / to.sum.cols, i % to.sum.cols) = sum;
}

/// rank: the largest of the clients', of any size. direct: each client has one part, so that nothing is
/// added.
template <class Math, class Clients, class Gradients, class Wide>
void reduce_rows(const ReduceRows<typename Math::Element, Clients, Gradients, Wide>& p, int rank, bool direct,
                 bool aligned, cudaStream_t stream) {
  const auto start = [&]<int R>(std::integral_constant<int, R>) {
    const dim3 grid(p.clients.blocks(), divide_up(p.wide.cols, 128), divide_up(rank, R));
    const auto kernel = aligned ? reduce_rows_kernel<Math, R, true, Clients, Gradients, Wide>
                                : reduce_rows_kernel<Math, R, false, Clients, Gradients, Wide>;
    launch("reduce_rows", kernel, grid, 256, ReduceTile<Math, R>::shared_bytes, stream, p);
  };
  with_rank_bucket(rank, start);
  if (direct) return;
  launch("sum_parts", sum_parts_kernel<Gradients>,
         dim3(divide_up(p.wide.cols * rank, 256), p.clients.clients()), 256, 0, stream, p.gradients, p.parts,
         p.part_size);
}

}  // namespace loru::cuda
