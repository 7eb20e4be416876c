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

/// Joins the values of a block's threads; its first thread gets the result.
template <class A, class Join>
__device__ A join_block(A value, Join join) {
  value = fold_warp(value, join);
  A* const of_warps = shared_memory<A>();  // [fold_warps]
  if (threadIdx.x % 32 == 0) shared_store(of_warps + threadIdx.x / 32, value);
  __syncthreads();
  if (threadIdx.x > 0) return value;
  for (int warp = 1; warp < fold_warps; ++warp) value = join(value, shared_load<A>(of_warps + warp));
  return value;
}

/// The join of start and f(i) for i in [first, last) by a block; its first thread gets the result.
template <class A, class Join, class F>
__device__ A fold_block(Index first, Index last, A start, Join join, const F& f) {
  A value = start;
  for (Index i = first + threadIdx.x; i < last; i += fold_threads) value = join(value, static_cast<A>(f(i)));
  return join_block(value, join);
}

/// What becomes of a result: nothing more.
struct AsItIs {
  template <class A>
  __device__ A operator()(A value) const {
    return value;
  }
};

/// out[b] = finish(the join of start and f(i) for i in [b·piece, (b + 1)·piece)), b the block.
template <class A, class Join, class F, class Finish>
__global__ void __launch_bounds__(fold_threads)
    fold_kernel(Index n, Index piece, A start, Join join, F f, Finish finish, A* out) {
  const Index first = static_cast<Index>(blockIdx.x) * piece, last = min(first + piece, n);
  const A value = fold_block(first, last, start, join, f);
  if (threadIdx.x == 0) out[blockIdx.x] = finish(value);
}

template <class A>
struct Element {
  const A* x;
  __device__ A operator()(Index i) const { return x[i]; }
};

/// The pieces of a fold over n elements, `piece` each.
struct FoldCut {
  Index piece, pieces;
  explicit FoldCut(Index n) {
    constexpr Index most = 1024, least = 4096;  // pieces, elements of a piece
    piece = std::max(least, (n + most - 1) / most);
    pieces = std::max<Index>(1, (n + piece - 1) / piece);
  }
};

/// finish(the join of start and f(i)) over each piece: shape (pieces), or () if there is one.
template <class A, class Join, class F, class Finish>
Array<A> fold_pieces(const char* name, Index n, A start, Join join, F f, Finish finish) {
  const FoldCut cut(n);
  Array<A> parts = cut.pieces > 1 ? Array<A>(Shape{cut.pieces}) : Array<A>(Shape{});
  launch(name, fold_kernel<A, Join, F, Finish>, dim3(static_cast<unsigned>(cut.pieces)), dim3(fold_threads),
         fold_warps * sizeof(A), current_stream(), n, cut.piece, start, join, f, finish, parts.data());
  return parts;
}

/// finish(the join of start and f(i) for i in [0, n)): shape (). start must be neutral: joining it changes
/// nothing.
template <class A, class Join, class F, class Finish = AsItIs>
Array<A> fold(const char* name, Index n, A start, Join join, F f, Finish finish = {}) {
  if (FoldCut(n).pieces == 1) return fold_pieces(name, n, start, join, f, finish);
  const Array<A> parts = fold_pieces(name, n, start, join, f, AsItIs{});
  return fold(name, parts.size(), start, join, Element<A>{parts.data()}, finish);
}

inline constexpr Index fold_block_elements = 4096;

/// out[b] = the join of start and f[j](i) over the b-th block of the loops.
template <class A, class Join, class F>
__global__ void __launch_bounds__(fold_threads)
    fold_of_kernel(const Loops<F> loops, A start, Join join, A* out) {
  const int j = loops.of_block(static_cast<int>(blockIdx.x));
  const Index first = (static_cast<int>(blockIdx.x) - loops.first_block[j]) * fold_block_elements;
  const A value = fold_block(first, min(first + fold_block_elements, loops.n[j]), start, join, loops.f[j]);
  if (threadIdx.x == 0) out[blockIdx.x] = value;
}

/// The join of start and f[j](i) for i in [0, n[j]), block after block of each loop in turn, all loops in as
/// few launches as hold them: shape (blocks).
template <class A, class Join, class F>
Array<A> fold_of(const char* name, const std::vector<F>& f, const std::vector<Index>& n, A start, Join join) {
  Index all = 0;
  for (const Index elements : n) all += (elements + fold_block_elements - 1) / fold_block_elements;
  Array<A> parts(Shape{all});
  A* out = parts.data();
  for_each_set(f, n, Nothing{}, fold_block_elements, [&](const Loops<F>& loops, int blocks) {
    launch(name, fold_of_kernel<A, Join, F>, dim3(static_cast<unsigned>(blocks)), dim3(fold_threads),
           fold_warps * sizeof(A), current_stream(), loops, start, join, out);
    out += blocks;
  });
  return parts;
}

}  // namespace loru::cuda::detail
