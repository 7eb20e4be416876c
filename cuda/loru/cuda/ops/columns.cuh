#pragma once
// Reductions of the rows of columns, in a fixed order as those of fold.cuh: sums, moments, and what is done
// with the rows once those of their column are known.

#include <loru/cuda/ops/fold.cuh>

namespace loru::cuda::detail {

/// K numbers that belong to one column.
template <class T, int K>
struct Values {
  T v[K];
};

inline constexpr int column_lanes = 32, column_rows = fold_threads / column_lanes;

/// A store: the values of a piece of rows into out (images, pieces, K, C).
template <class T, int K>
struct StorePieces {
  T* out;
  Index c;
  __device__ void operator()(Index image, Index j, const Values<T, K>& values) const {
    for (int k = 0; k < K; ++k) out[((image * gridDim.y + blockIdx.y) * K + k) * c + j] = values.v[k];
  }
};

/// Folds rows [piece·b, piece·(b + 1)) of each of C columns; store(image, j, values) keeps the result of
/// column j. A policy gives
///   part(image, first, last, step, j)   the values of rows first, first + step, ... below last of column j
///   join(a, b)                          the values of two sets of rows together
///   nothing()                           the values of no rows
/// Grid: x = image · column tiles + tile, y = piece. Thread (lane, ty) takes rows ty, ty + 8, ... of a
/// column.
template <class T, int K, class Policy, class Store>
__global__ void __launch_bounds__(fold_threads)
    column_kernel(Index rows, Index c, Index piece, Policy policy, Store store) {
  const unsigned tiles = static_cast<unsigned>((c + column_lanes - 1) / column_lanes);
  const Index image = blockIdx.x / tiles;
  const int lane = static_cast<int>(threadIdx.x) % column_lanes,
            ty = static_cast<int>(threadIdx.x) / column_lanes;
  const Index j = static_cast<Index>(blockIdx.x % tiles) * column_lanes + lane;
  const Index first = static_cast<Index>(blockIdx.y) * piece, last = min(first + piece, rows);
  Values<T, K> mine = policy.nothing();
  if (j < c && first + ty < last) mine = policy.part(image, first + ty, last, Index{column_rows}, j);
  T* const shared = shared_memory<T>();  // [column_rows][K][column_lanes]
  for (int k = 0; k < K; ++k) shared_store(shared + (ty * K + k) * column_lanes + lane, mine.v[k]);
  __syncthreads();
  if (ty > 0 || j >= c) return;
  for (int y = 1; y < column_rows; ++y) {
    Values<T, K> other;
    for (int k = 0; k < K; ++k) other.v[k] = shared_load<T>(shared + (y * K + k) * column_lanes + lane);
    mine = policy.join(mine, other);
  }
  store(image, j, mine);
}

/// Joins pieces (images, pieces, K, C) that column_kernel has left.
template <class T, int K, class Policy>
struct Pieces {
  Policy policy;
  const T* parts;
  Index pieces, c;
  __device__ Values<T, K> nothing() const { return policy.nothing(); }
  __device__ Values<T, K> join(Values<T, K> a, Values<T, K> b) const { return policy.join(a, b); }
  __device__ Values<T, K> part(Index image, Index first, Index last, Index step, Index j) const {
    Values<T, K> sum = policy.nothing();
    for (Index i = first; i < last; i += step) {
      Values<T, K> next;
      for (int k = 0; k < K; ++k) next.v[k] = parts[((image * pieces + i) * K + k) * c + j];
      sum = policy.join(sum, next);
    }
    return sum;
  }
};

/// The pieces of a fold over the rows of columns, `piece` each.
struct ColumnCut {
  Index piece, pieces;
  explicit ColumnCut(Index rows) {
    constexpr Index least = 256, most = 512;  // rows of a piece, pieces
    piece = std::max(least, (rows + most - 1) / most);
    pieces = std::max<Index>(1, (rows + piece - 1) / piece);
  }
  static ColumnCut whole(Index rows) {
    ColumnCut cut(0);
    cut.piece = rows;
    return cut;
  }
};

template <class T, int K, class Policy, class Store>
void fold_columns_once(const char* name, Index images, Index rows, Index c, ColumnCut cut, Policy policy,
                       Store store) {
  const Index tiles = (c + column_lanes - 1) / column_lanes;
  launch(name, column_kernel<T, K, Policy, Store>,
         dim3(static_cast<unsigned>(images * tiles), static_cast<unsigned>(cut.pieces)), dim3(fold_threads),
         fold_threads * K * sizeof(T), current_stream(), rows, c, cut.piece, policy, store);
}

/// store(image, j, the values of all rows of column j of the image), in one launch or two.
template <class T, int K, class Policy, class Store>
void fold_columns_into(const char* name, Index images, Index rows, Index c, Policy policy, Store store) {
  const ColumnCut cut(rows);
  if (images * c == 0) return;
  if (cut.pieces == 1) return fold_columns_once<T, K>(name, images, rows, c, cut, policy, store);
  Array<T> parts(Shape{images, cut.pieces, K, c});
  fold_columns_once<T, K>(name, images, rows, c, cut, policy, StorePieces<T, K>{parts.data(), c});
  fold_columns_once<T, K>(name, images, cut.pieces, c, ColumnCut::whole(cut.pieces),
                          Pieces<T, K, Policy>{policy, parts.data(), cut.pieces, c}, store);
}

/// The values of all rows of each image, by column: (images, 1, K, C).
template <class T, int K, class Policy>
Array<T> fold_columns(const char* name, Index images, Index rows, Index c, Policy policy) {
  Array<T> all(Shape{images, 1, K, c});
  fold_columns_into<T, K>(name, images, rows, c, policy, StorePieces<T, K>{all.data(), c});
  return all;
}

/// A policy: sums of f(image, i, j), which gives Values<T, K>.
template <class T, int K, class F>
struct Sums {
  F f;
  __device__ Values<T, K> nothing() const { return {}; }
  __device__ Values<T, K> join(Values<T, K> a, Values<T, K> b) const {
    for (int k = 0; k < K; ++k) a.v[k] += b.v[k];
    return a;
  }
  __device__ Values<T, K> part(Index image, Index first, Index last, Index step, Index j) const {
    Values<T, K> sum{};
    for (Index i = first; i < last; i += step) sum = join(sum, f(image, i, j));
    return sum;
  }
};

/// What is done with the rows of a column once the values of all of them are known. A finish gives
///   column(j, values)     what its rows need to know
///   store(j, values)      keeps what comes of the values; once for each column
///   row(i, j, column)     row i of column j
/// Every block folds the values of its columns anew, in the same order. Grid: x = column tile, y = rows of
/// `rows_each`.
template <class T, int K, class Policy, class Finish>
__global__ void __launch_bounds__(fold_threads)
    column_finish_kernel(Index folded, Index c, Policy policy, Index rows, Index rows_each, Finish finish) {
  const int lane = static_cast<int>(threadIdx.x) % column_lanes,
            ty = static_cast<int>(threadIdx.x) / column_lanes;
  const Index j = static_cast<Index>(blockIdx.x) * column_lanes + lane;
  Values<T, K> values = policy.nothing();
  if (j < c && ty < folded) values = policy.part(0, ty, folded, Index{column_rows}, j);
  T* const shared = shared_memory<T>();  // [column_rows][K][column_lanes]
  for (int k = 0; k < K; ++k) shared_store(shared + (ty * K + k) * column_lanes + lane, values.v[k]);
  __syncthreads();
  if (j >= c) return;
  for (int y = 0; y < column_rows; ++y) {
    Values<T, K> other;
    for (int k = 0; k < K; ++k) other.v[k] = shared_load<T>(shared + (y * K + k) * column_lanes + lane);
    values = y == 0 ? other : policy.join(values, other);
  }
  if (blockIdx.y == 0 && ty == 0) finish.store(j, values);
  const auto column = finish.column(j, values);
  const Index first = static_cast<Index>(blockIdx.y) * rows_each, last = min(first + rows_each, rows);
  for (Index i = first + ty; i < last; i += column_rows) finish.row(i, j, column);
}

/// The finish of each of C columns of `rows` rows: in one launch where they are few, else in two. `in_place`:
/// row(i, j, column) overwrites what the policy reads, so that in one launch a column has one block.
template <class T, int K, class Policy, class Finish>
void finish_columns(const char* name, Index rows, Index c, Policy policy, Finish finish, bool in_place) {
  constexpr Index few = 512, least = 64, blocks = 256;  // rows; rows of a block; blocks that fill a device
  const Index tiles = (c + column_lanes - 1) / column_lanes, groups = std::max<Index>(1, blocks / tiles),
              rows_of_block = std::max(least, (rows + groups - 1) / groups);
  const auto start = [&]<class P>(Index folded, P source, Index rows_each) {
    launch(name, column_finish_kernel<T, K, P, Finish>,
           dim3(static_cast<unsigned>(tiles), static_cast<unsigned>((rows + rows_each - 1) / rows_each)),
           dim3(fold_threads), fold_threads * K * sizeof(T), current_stream(), folded, c, source, rows,
           rows_each, finish);
  };
  if (rows * c == 0) return;
  if (rows <= few) return start(rows, policy, in_place ? rows : rows_of_block);
  const ColumnCut cut(rows);
  Array<T> parts(Shape{1, cut.pieces, K, c});
  fold_columns_once<T, K>(name, 1, rows, c, cut, policy, StorePieces<T, K>{parts.data(), c});
  start(cut.pieces, Pieces<T, K, Policy>{policy, parts.data(), cut.pieces, c}, rows_of_block);
}

/// Sums of f over the rows of each image, for each column: (images, 1, K, C).
template <class T, int K, class F>
Array<T> column_sums(const char* name, Index images, Index rows, Index c, F f) {
  return fold_columns<T, K>(name, images, rows, c, Sums<T, K, F>{f});
}

/// The elements of a matrix of C columns, as terms of column_sums.
template <class T>
struct Terms {
  const T* x;
  Index c;
  __device__ Values<T, 1> operator()(Index, Index i, Index j) const { return {x[i * c + j]}; }
};

}  // namespace loru::cuda::detail
