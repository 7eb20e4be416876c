#pragma once
// Reductions in a fixed order: the cut into pieces depends on the size alone and pieces are joined in their
// order, so that results are the same bits in every run.

#include <loru/cuda/ops/map.cuh>

namespace loru::cuda::detail {

inline constexpr int fold_threads = 256, fold_warps = fold_threads / 32;

struct Plus {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Least {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};

/// Joins the values of a warp's lanes; every lane gets the result.
template <class A, class Join>
__device__ A fold_warp(A value, Join join) {
  for (int distance = 16; distance > 0; distance /= 2)
    value = join(value, __shfl_xor_sync(~0u, value, distance));
  return value;
}

/// out[b] = the join of start and f(i) for i in [b·piece, (b + 1)·piece), b the block.
template <class A, class Join, class F>
__global__ void __launch_bounds__(fold_threads)
    fold_kernel(Index n, Index piece, A start, Join join, F f, A* out) {
  const Index first = static_cast<Index>(blockIdx.x) * piece, last = min(first + piece, n);
  A value = start;
  for (Index i = first + threadIdx.x; i < last; i += fold_threads) value = join(value, static_cast<A>(f(i)));
  value = fold_warp(value, join);
  A* const of_warps = shared_memory<A>();  // [fold_warps]
  if (threadIdx.x % 32 == 0) shared_store(of_warps + threadIdx.x / 32, value);
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int warp = 1; warp < fold_warps; ++warp) value = join(value, shared_load<A>(of_warps + warp));
  out[blockIdx.x] = value;
}

template <class A>
struct Element {
  const A* x;
  __device__ A operator()(Index i) const { return x[i]; }
};

/// The join of start and f(i) for i in [0, n): shape (). start must be neutral: joining it changes nothing.
template <class A, class Join, class F>
Array<A> fold(const char* name, Index n, A start, Join join, F f) {
  constexpr Index most = 1024;  // pieces
  const Index piece = std::max<Index>(4096, (n + most - 1) / most),
              pieces = std::max<Index>(1, (n + piece - 1) / piece);
  Array<A> parts = pieces > 1 ? Array<A>(Shape{pieces}) : Array<A>(Shape{});
  launch(name, fold_kernel<A, Join, F>, dim3(static_cast<unsigned>(pieces)), dim3(fold_threads),
         fold_warps * sizeof(A), current_stream(), n, piece, start, join, f, parts.data());
  return pieces == 1 ? parts : fold(name, pieces, start, join, Element<A>{parts.data()});
}

/// K numbers that belong to one column.
template <class T, int K>
struct Values {
  T v[K];
};

inline constexpr int column_lanes = 32, column_rows = fold_threads / column_lanes;

/// Folds rows [piece·b, piece·(b + 1)) of each of C columns: out (images, pieces, K, C). A policy gives
///   part(image, first, last, step, j)   the values of rows first, first + step, ... below last of column j
///   join(a, b)                          the values of two sets of rows together
///   nothing()                           the values of no rows
/// Grid: x = image · column tiles + tile, y = piece. Thread (lane, ty) takes rows ty, ty + 8, ... of a
/// column.
template <class T, int K, class Policy>
__global__ void __launch_bounds__(fold_threads)
    column_kernel(Index rows, Index c, Index piece, Policy policy, T* out) {
  const Index tiles = (c + column_lanes - 1) / column_lanes, image = blockIdx.x / tiles;
  const int lane = static_cast<int>(threadIdx.x) % column_lanes,
            ty = static_cast<int>(threadIdx.x) / column_lanes;
  const Index j = blockIdx.x % tiles * column_lanes + lane;
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
  for (int k = 0; k < K; ++k) out[((image * gridDim.y + blockIdx.y) * K + k) * c + j] = mine.v[k];
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

template <class T, int K, class Policy>
void fold_columns_once(const char* name, Index images, Index rows, Index c, Index piece, Policy policy,
                       Array<T>& out) {
  const Index tiles = (c + column_lanes - 1) / column_lanes;
  launch(name, column_kernel<T, K, Policy>,
         dim3(static_cast<unsigned>(images * tiles), static_cast<unsigned>(out.dim(1))), dim3(fold_threads),
         fold_threads * K * sizeof(T), current_stream(), rows, c, piece, policy, out.data());
}

/// The values of all rows of each image, by column: (images, 1, K, C).
template <class T, int K, class Policy>
Array<T> fold_columns(const char* name, Index images, Index rows, Index c, Policy policy) {
  constexpr Index least = 256, most = 512;  // rows of a piece, pieces
  const Index piece = std::max(least, (rows + most - 1) / most);
  const Index pieces = std::max<Index>(1, (rows + piece - 1) / piece);
  Array<T> parts(Shape{images, pieces, K, c});
  if (parts.size() == 0) return parts;
  fold_columns_once<T, K>(name, images, rows, c, piece, policy, parts);
  if (pieces == 1) return parts;
  Array<T> all(Shape{images, 1, K, c});
  fold_columns_once<T, K>(name, images, pieces, c, pieces,
                          Pieces<T, K, Policy>{policy, parts.data(), pieces, c}, all);
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
