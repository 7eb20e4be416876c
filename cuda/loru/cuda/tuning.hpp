#pragma once
// How the fused kernels cut their work into blocks: pure functions of the shape and the device, so that bits
// depend on nothing else. Federated layers are small: a result alone may have one block for a device of 132
// multiprocessors. Then its sum over k, or over rows, is cut into pieces (device/pieces.cuh).
//
// Costs are counted in tiles of k. None of the constants was measured.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include <loru/core/host_device.hpp>

namespace loru::cuda {

/// Least count of b that holds a.
constexpr int blocks_of(int a, int b) { return a / b + (a % b != 0 ? 1 : 0); }

/// Pieces that one block adds: all up to eight, else the least number whose square holds them.
LORU_HOST_DEVICE constexpr int pieces_of_group(int pieces) {
  int size = 8;
  while (size * size < pieces) ++size;
  return pieces <= 8 ? pieces : size;
}

/// How a sum is cut into pieces of blocks: `each` steps a piece, fewer in the last one.
struct SumCut {
  int pieces = 1, each = 0;
};

/// What a kernel asks of a cut.
struct SumCost {
  int step = 1;  // tiles of a step
  int join = 1;  // what reading a piece's sums costs, in tiles
};

/// The longest loop, in tiles, of a kernel with fewer blocks than multiprocessors.
inline constexpr int longest_loop = 64;

/// Cuts a sum over `steps` steps behind each of `blocks` blocks of a result. A result that fills the device
/// stays whole. Otherwise the pieces take the least time by this count: blocks run in waves of one a
/// multiprocessor, each fills its pipeline (two tiles) and runs its loop; then the last to come reads the
/// pieces of its group, and the last of the groups those of all.
constexpr SumCut sum_cut(int blocks, int steps, int multiprocessors, const SumCost& cost = {}) {
  SumCut best{1, std::max(1, steps)};
  if (blocks >= multiprocessors) return best;
  std::int64_t least = -1;
  const int most = std::min(std::max(1, steps), 2 * multiprocessors / std::max(1, blocks));
  for (int wanted = 1; wanted <= most; ++wanted) {
    const int each = std::max(1, blocks_of(steps, wanted)), pieces = std::max(1, blocks_of(steps, each));
    if (pieces < wanted) continue;
    const std::int64_t all = std::int64_t{blocks} * pieces;
    const int group = pieces_of_group(pieces);
    const std::int64_t read = pieces == 1 ? 0 : group + (group < pieces ? blocks_of(pieces, group) : 0);
    const std::int64_t loop = std::int64_t{each} * cost.step;
    std::int64_t time = (all + multiprocessors - 1) / multiprocessors * (loop + 2) + cost.join * read;
    if (all < multiprocessors && loop > longest_loop) time += std::int64_t{1} << 40;  // as good as never
    if (least >= 0 && time >= least) continue;
    least = time;
    best = {pieces, each};
  }
  return best;
}

/// sum_cut, which this thread remembers for some shapes: those of a step come again and again.
inline SumCut known_cut(int blocks, int steps, int multiprocessors, const SumCost& cost) {
  using Shape = std::array<int, 5>;
  struct Known {
    Shape shape{};
    SumCut cut;
  };
  if (blocks >= multiprocessors) return sum_cut(blocks, steps, multiprocessors, cost);
  constexpr std::size_t places = 64;
  thread_local std::array<Known, places> all;
  const Shape shape{blocks, steps, multiprocessors, cost.step, cost.join};  // never all zero
  std::size_t place = 0;
  for (const int value : shape) place = place * 31 + static_cast<std::size_t>(value);
  Known& known = all[place % places];
  if (known.shape != shape) known = {shape, sum_cut(blocks, steps, multiprocessors, cost)};
  return known.cut;
}

/// Whether a kernel without pieces is right for so many blocks, each a loop over `tiles` tiles: they fill the
/// device, or are short.
constexpr bool fills(int blocks, int tiles, int multiprocessors) {
  constexpr int short_loop = 16;
  return blocks >= multiprocessors || tiles <= short_loop;
}

/// Rows and columns of a result that a block computes.
struct ProductTile {
  int rows, cols;
};

/// 128 x 128 for large results, 64 x 64 for those of at most 64 rows or columns, 32 x 128 for 32 rows.
constexpr ProductTile product_tile(int rows, int cols) {
  if (rows <= 32 && cols > 64) return {32, 128};
  if (rows <= 64 || cols <= 64) return {64, 64};
  return {128, 128};
}

/// A product of so many blocks, each a sum over `tiles` tiles of k. For 128 x 128 sums a tile of 16 k takes
/// some 2048 cycles of float arithmetic, or 256 on tensor cores; the sums of a piece come from the
/// second-level cache in about 1000.
inline SumCut product_cut(int blocks, int tiles, bool tensor_cores, int multiprocessors) {
  return known_cut(blocks, tiles, multiprocessors, {1, tensor_cores ? 4 : 1});
}

/// A sum over `rows` rows behind blocks of 128 columns by `ranks`: pieces of whole steps of 64 rows.
inline constexpr int reduction_step = 64;
inline SumCut row_cut(int rows, int columns, int ranks, int multiprocessors) {
  return known_cut(blocks_of(columns, 128) * blocks_of(ranks, 64), blocks_of(rows, reduction_step),
                   multiprocessors, {2, 1});
}

/// Bands of a plane of so many pixels in the gradient of max-pooling, for `planes` planes: a thread has a
/// band, and there are enough for a large device, with at least 4 pixels each.
constexpr std::int64_t pool_bands(std::int64_t planes, std::int64_t pixels) {
  constexpr std::int64_t threads = std::int64_t{1} << 16, least = 4;
  return std::max<std::int64_t>(1, std::min((threads + planes - 1) / planes, pixels / least));
}

/// Floats and tickets that suffice for the pieces of any cut above: blocks of at most 128 x 128 sums, twice
/// as many as there are multiprocessors.
constexpr std::int64_t piece_floats(int multiprocessors) {
  return std::int64_t{2} * multiprocessors * 128 * 128;
}
constexpr std::int64_t piece_tickets(int multiprocessors) { return std::int64_t{2} * multiprocessors; }

}  // namespace loru::cuda
