#pragma once
// Kernels that compute every element by itself.

#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/ptx.cuh>
#include <loru/cuda/ops.hpp>

namespace loru::cuda::detail {

inline constexpr int map_threads = 256;

/// Blocks for n independent elements: about `each` a thread, and no more blocks than keep a large device
/// busy.
inline unsigned map_blocks(Index n, Index each = 4) {
  constexpr Index most = 8192;
  const Index per_block = each * map_threads;
  return static_cast<unsigned>(std::min((n + per_block - 1) / per_block, most));
}

/// f(i) for i in [0, n).
template <class F>
__global__ void __launch_bounds__(map_threads) for_each_kernel(Index n, F f) {
  const Index step = static_cast<Index>(gridDim.x) * map_threads;
#pragma unroll 1  // else the number of steps is divided by what is unrolled
  for (Index i = static_cast<Index>(blockIdx.x) * map_threads + threadIdx.x; i < n; i += step) f(i);
}

/// y[i] = f(x[i]...) for i in [0, n). y may be one of x.
template <class F, class T, class... X>
__global__ void __launch_bounds__(map_threads) map_kernel(Index n, F f, T* y, const X*... x) {
  const Index step = static_cast<Index>(gridDim.x) * map_threads;
#pragma unroll 1  // else the number of steps is divided by what is unrolled
  for (Index i = static_cast<Index>(blockIdx.x) * map_threads + threadIdx.x; i < n; i += step)
    y[i] = f(x[i]...);
}

/// Queues f(i) for i in [0, n), about `each` a thread. No f(i) may write what another one reads or writes.
template <class F>
void for_each(const char* name, Index n, F f, Index each = 4) {
  if (n == 0) return;
  launch(name, for_each_kernel<F>, dim3(map_blocks(n, each)), dim3(map_threads), 0, current_stream(), n, f);
}

/// Queues y[i] = f(x[i]...) over the memory of tensors of one size.
template <class F, class T, class... X>
void map_into(const char* name, F f, Array<T>& y, const Array<X>&... x) {
  if (y.size() == 0) return;
  launch(name, map_kernel<F, T, X...>, dim3(map_blocks(y.size())), dim3(map_threads), 0, current_stream(),
         y.size(), f, y.data(), x.data()...);
}

/// f(a, x...) as a new tensor like a. Throws ShapeError unless all have a's shape and layout.
template <class F, class T, class... X>
Array<T> map(const char* name, F f, const Array<T>& a, const Array<X>&... x) {
  (require_same_shape(name, a, x), ...);
  Array<T> y(a.shape(), a.layout());
  map_into(name, f, y, a, x...);
  return y;
}

/// What loops have in common: nothing.
struct Nothing {};

/// Several loops in one launch, as many as the parameters of a kernel hold.
template <class F, class Common = Nothing>
struct Loops {
  static constexpr std::size_t bytes = 4096;  // that a kernel's parameters may have on every device
  static constexpr int most =
      static_cast<int>((bytes - 64 - sizeof(Common)) / (sizeof(F) + sizeof(Index) + sizeof(int)));
  Common common;
  F f[most];
  Index n[most];
  int first_block[most + 1];

  /// The loop of a block: blocks first_block[j] .. first_block[j + 1] do the j-th.
  __device__ int of_block(int block) const {
    int low = 0, high = most;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      (first_block[middle] <= block ? low : high) = middle;
    }
    return low;
  }
};

inline constexpr Index loop_block = 4 * map_threads;  // elements of a block

/// f[j](i), or f[j](i, common), for i in [0, n[j]).
template <class F, class Common>
__global__ void __launch_bounds__(map_threads) for_each_of_kernel(const Loops<F, Common> loops) {
  const int j = loops.of_block(static_cast<int>(blockIdx.x));
  const Index first = (static_cast<int>(blockIdx.x) - loops.first_block[j]) * loop_block;
  const Index last = min(first + loop_block, loops.n[j]);
  for (Index i = first + threadIdx.x; i < last; i += map_threads)
    if constexpr (std::is_same_v<Common, Nothing>)
      loops.f[j](i);
    else
      loops.f[j](i, loops.common);
}

/// start(loops, blocks) for as few sets of loops as hold all of them, `block` elements a block; a set without
/// elements is left out.
template <class F, class Common, class Start>
void for_each_set(const std::vector<F>& f, const std::vector<Index>& n, const Common& common, Index block,
                  const Start& start) {
  constexpr auto most = static_cast<std::size_t>(Loops<F, Common>::most);
  for (std::size_t first = 0; first < f.size(); first += most) {
    Loops<F, Common> loops;
    loops.common = common;
    const std::size_t count = std::min(most, f.size() - first);
    int blocks = 0;
    for (std::size_t j = 0; j < most; ++j) {
      const std::size_t from = first + std::min(j, count - 1);
      loops.f[j] = f[from];
      loops.n[j] = n[from];
      loops.first_block[j] = blocks;
      if (j < count) blocks += static_cast<int>((n[from] + block - 1) / block);
    }
    loops.first_block[most] = blocks;
    if (blocks > 0) start(loops, blocks);
  }
}

/// Queues f[j](i), or f[j](i, common), for i in [0, n[j]), all loops in as few launches as hold them.
template <class F, class Common = Nothing>
void for_each_of(const char* name, const std::vector<F>& f, const std::vector<Index>& n,
                 const Common& common = {}) {
  for_each_set(f, n, common, loop_block, [&](const Loops<F, Common>& loops, int blocks) {
    launch(name, for_each_of_kernel<F, Common>, dim3(static_cast<unsigned>(blocks)), dim3(map_threads), 0,
           current_stream(), loops);
  });
}

}  // namespace loru::cuda::detail
