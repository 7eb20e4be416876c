#pragma once
// dS = s dy B and dB = dyᵀ S, reading dy once.  dy (M, m), B (m, r), S (M, r), scaled, dS (M, r), dB (m, r);
// any r.
//
// A block of threads owns Columns tiles of 128 columns of dy, a block of rows and at most 64 ranks. It walks
// the rows 64 at a time, holds dB of its columns in registers for the whole walk and writes dS of its columns
// after each step. A result is final where one block has all its terms (all columns for dS, all rows for dB).
// Otherwise blocks write parts of dS, which another kernel adds in increasing order, and join pieces of dB
// (device/pieces.cuh). The cut depends on the shape and the device alone. Ranks beyond 64 read dy again for
// every 64.
//
// 86 to 139 KB of shared memory and at most 168 registers: one block of 8 warps a multiprocessor. Devices
// that give a block less compute dS and dB apart (backward.cuh).
#include <loru/cuda/kernels/reduce_rows.cuh>

namespace loru::cuda {

/// The cut: `groups` of columns by `parts` of `height` rows.
struct BackwardCut {
  int groups, parts, height;
  BackwardCut(int M, int m, int r, bool bf16, int multiprocessors)
      : groups(divide_up(m, columns(r, bf16) * 128)) {
    const int tiles = std::min(columns(r, bf16), divide_up(m, 128));  // of a step of rows
    const SumCut cut = known_cut(groups * divide_up(r, 64), divide_up(M, 64), multiprocessors, {tiles, 1});
    parts = cut.pieces;
    height = 64 * cut.each;
  }
  /// Tiles of columns that a block owns, as registers and shared memory allow.
  static constexpr int columns(int r, bool bf16) { return r > 32 ? (bf16 ? 2 : 1) : r > 16 && !bf16 ? 2 : 4; }
  /// Floats of workspace for the parts of dS.
  std::int64_t dS_floats(int M, int r) const { return groups == 1 ? 0 : std::int64_t{groups} * M * r; }
};

template <class T>
struct BackwardDsDb {
  Matrix<const T> dy, B, S;
  float s;
  Matrix<T> dS;
  Matrix<float> dB;           // or without data
  int height = 0;             // of a block of rows
  float* dS_parts = nullptr;  // (groups, M, r)
  Pieces pieces{};            // of dB
};

template <class Math, int R>
struct BackwardDsDbTile {
  using T = typename Math::Element;
  static constexpr int rows = 64, cols = 128, columns = BackwardCut::columns(R, sizeof(T) == 2);
  static constexpr int stages = sizeof(T) == 2 ? 3 : 2;
  static constexpr int dy_stride = row_stride<T, cols>, S_stride = row_stride<T, R>,
                       B_stride = down_stride<Math, R>;
  static constexpr int S_stage = rows * S_stride, dy_stage = rows * dy_stride;
  static constexpr int S_at = columns * cols * B_stride, dy_at = S_at + stages * S_stage;
  static constexpr int shared_bytes = sizeof(T) * (dy_at + stages * dy_stage);
};

/// Whether a block of the kernel for this rank fits into so much shared memory.
template <class Math>
bool backward_dSdB_fits(int r, std::size_t block_memory) {
  std::size_t bytes = 0;
  with_rank_bucket(
      r, [&]<int R>(std::integral_constant<int, R>) { bytes = BackwardDsDbTile<Math, R>::shared_bytes; });
  return bytes <= block_memory;
}

/// Aligned: rows of dy start on 16-byte boundaries; AlignedThin: those of B and S. Grid (groups, parts, r /
/// R).
template <class Math, int R, bool Aligned, bool AlignedThin>
__global__ void __launch_bounds__(256, 1)
    lora_backward_dSdB_kernel(const BackwardDsDb<typename Math::Element> p) {
  using T = typename Math::Element;
  using Tile = BackwardDsDbTile<Math, R>;
  constexpr int columns = Tile::columns, stages = Tile::stages, cols = Tile::cols;
  T* const Bs = shared_memory<T>();
  T* const Ss = Bs + Tile::S_at;
  T* const dys = Bs + Tile::dy_at;
  const int row0 = blockIdx.y * p.height, column0 = blockIdx.x * columns * cols, q0 = blockIdx.z * R;
  const int rows = min(p.dy.rows - row0, p.height), steps = divide_up(rows, Tile::rows);
  const int here = min(columns, divide_up(p.dy.cols - column0, cols)), tiles = steps * here;  // of dy

  const auto load = [&](int tile) {  // columns first; the first tile of a step brings its S
    const int step = tile / here, c = tile % here, row = row0 + step * Tile::rows;
    load_tile<256, Tile::rows, cols, Aligned>(dys + tile % stages * Tile::dy_stage, p.dy, row,
                                              column0 + c * cols);
    if (c == 0) load_tile<256, Tile::rows, R, AlignedThin>(Ss + step % stages * Tile::S_stage, p.S, row, q0);
  };

  load_tile<256, columns * cols, R, AlignedThin, Tile::B_stride>(Bs, p.B, column0, q0);
  for (int tile = 0; tile < stages - 1; ++tile) {
    if (tile < tiles) load(tile);
    cp_async_commit();
  }
  BlockSums<Math, 128, R, 8> dB[columns];
  for (int step = 0; step < steps; ++step) {
    BlockSums<Math, 64, R, 4> dS;
#pragma unroll
    for (int c = 0; c < columns; ++c) {
      if (c >= here) break;
      const int tile = step * here + c;
      cp_async_wait<stages - 2>();
      __syncthreads();  // `tile` has arrived, and the tile that is overwritten next is no longer read
      if (tile + stages - 1 < tiles) load(tile + stages - 1);
      cp_async_commit();
      const T* const dy = dys + tile % stages * Tile::dy_stage;
      dS.template multiply_add<cols>(Across<T, Tile::dy_stride>{dy},
                                     Down<T, Tile::B_stride>{Bs + c * cols * Tile::B_stride});
      dB[c].template multiply_add<Tile::rows>(Down<T, Tile::dy_stride>{dy},
                                              Down<T, Tile::S_stride>{Ss + step % stages * Tile::S_stage});
    }
    const int row = row0 + step * Tile::rows;
    if (gridDim.x == 1) {
      dS.store(p.dS, row, q0, p.s);
    } else {
      const int M = p.dS.rows, r = p.dS.cols;
      const Matrix<float> part{p.dS_parts + static_cast<std::int64_t>(blockIdx.x) * M * r, M, r, r};
      dS.store(part, row, q0, 1.0f);
    }
  }
  if (!p.dB.data || !join_pieces(p.pieces, dB, blockIdx.z * gridDim.x + blockIdx.x, blockIdx.y, gridDim.y))
    return;
#pragma unroll
  for (int c = 0; c < columns; ++c) dB[c].store(p.dB, column0 + c * cols, q0, 1.0f);
}

/// out = s times the sum of `count` dense parts, in increasing order, rounded once.
template <class T>
__global__ void __launch_bounds__(256)
    sum_scaled_parts_kernel(const Matrix<T> out, const float* parts, int count, float s) {
  const std::int64_t size = static_cast<std::int64_t>(out.rows) * out.cols;
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * 256 + threadIdx.x;
  if (i >= size) return;
  float sum = 0.0f;
  for (int part = 0; part < count; ++part) sum += parts[part * size + i];
  *out.at(static_cast<int>(i / out.cols), static_cast<int>(i % out.cols)) = from_float<T>(s * sum);
}

/// dB is not written where it has no data. The rest of p follows from the cut and from `workspace`,
/// cut.dS_floats of it.
template <class Math>
void lora_backward_dSdB(BackwardDsDb<typename Math::Element> p, float* workspace, const Queue& queue) {
  using T = typename Math::Element;
  const int M = p.dy.rows, r = p.B.cols;
  const BackwardCut cut(M, p.dy.cols, r, sizeof(T) == 2, queue.multiprocessors);
  p.height = cut.height;
  p.dS_parts = workspace;
  p.pieces = queue.pieces;
  with_rank_bucket(r, [&]<int R>(std::integral_constant<int, R>) {
    const dim3 grid(cut.groups, cut.parts, divide_up(r, R));
    const auto start = [&]<bool Aligned, bool Thin>(std::bool_constant<Aligned>, std::bool_constant<Thin>) {
      launch("lora_backward_dSdB", lora_backward_dSdB_kernel<Math, R, Aligned, Thin>, grid, 256,
             BackwardDsDbTile<Math, R>::shared_bytes, queue.stream, p);
    };
    with_alignment<true>({rows_aligned(p.dy), rows_aligned(p.B, p.S)}, start);
  });
  if (cut.groups > 1)
    launch("sum_dS", sum_scaled_parts_kernel<T>,
           dim3(static_cast<unsigned>((std::int64_t{M} * r + 255) / 256)), 256, 0, queue.stream, p.dS,
           p.dS_parts, cut.groups, p.s);
}

}  // namespace loru::cuda
