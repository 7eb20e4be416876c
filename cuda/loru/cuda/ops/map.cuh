#pragma once
// Kernels that compute every element by itself.

#include <loru/cuda/device/launch.cuh>
#include <loru/cuda/device/ptx.cuh>
#include <loru/cuda/ops.hpp>

namespace loru::cuda::detail {

inline constexpr int map_threads = 256;

/// Blocks for n independent elements: about four a thread, and no more blocks than keep a large device busy.
inline unsigned map_blocks(Index n) {
  constexpr Index per_block = 4 * map_threads, most = 8192;
  return static_cast<unsigned>(std::min((n + per_block - 1) / per_block, most));
}

/// f(i) for i in [0, n).
template <class F>
__global__ void __launch_bounds__(map_threads) for_each_kernel(Index n, F f) {
  const Index step = static_cast<Index>(gridDim.x) * map_threads;
  for (Index i = static_cast<Index>(blockIdx.x) * map_threads + threadIdx.x; i < n; i += step) f(i);
}

/// y[i] = f(x[i]...) for i in [0, n). y may be one of x.
template <class F, class T, class... X>
__global__ void __launch_bounds__(map_threads) map_kernel(Index n, F f, T* y, const X*... x) {
  const Index step = static_cast<Index>(gridDim.x) * map_threads;
  for (Index i = static_cast<Index>(blockIdx.x) * map_threads + threadIdx.x; i < n; i += step)
    y[i] = f(x[i]...);
}

/// Queues f(i) for i in [0, n). No f(i) may write what another one reads or writes.
template <class F>
void for_each(const char* name, Index n, F f) {
  if (n == 0) return;
  launch(name, for_each_kernel<F>, dim3(map_blocks(n)), dim3(map_threads), 0, current_stream(), n, f);
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

/// Several loops in one launch, as many as the parameters of a kernel hold.
template <class F>
struct Loops {
  static constexpr int most = 32;
  F f[most];
  Index n[most];
  int first_block[most + 1];
};

inline constexpr Index loop_block = 4 * map_threads;  // elements of a block

/// f[j](i) for i in [0, n[j]); blocks first_block[j] .. first_block[j + 1] do the j-th loop.
template <class F>
__global__ void __launch_bounds__(map_threads) for_each_of_kernel(Loops<F> loops) {
  int j = 0;
  while (static_cast<int>(blockIdx.x) >= loops.first_block[j + 1]) ++j;
  const Index first = (static_cast<int>(blockIdx.x) - loops.first_block[j]) * loop_block;
  const Index last = min(first + loop_block, loops.n[j]);
  for (Index i = first + threadIdx.x; i < last; i += map_threads) loops.f[j](i);
}

/// Queues f[j](i) for i in [0, n[j]), all loops in as few launches as hold them.
template <class F>
void for_each_of(const char* name, const std::vector<F>& f, const std::vector<Index>& n) {
  for (std::size_t first = 0; first < f.size(); first += Loops<F>::most) {
    Loops<F> loops;
    const int count = static_cast<int>(std::min<std::size_t>(Loops<F>::most, f.size() - first));
    int blocks = 0;
    for (int j = 0; j < Loops<F>::most; ++j) {
      const std::size_t from = first + static_cast<std::size_t>(std::min(j, count - 1));
      loops.f[j] = f[from];
      loops.n[j] = n[from];
      loops.first_block[j] = blocks;
      if (j < count) blocks += static_cast<int>((n[from] + loop_block - 1) / loop_block);
    }
    loops.first_block[Loops<F>::most] = blocks;
    if (blocks > 0)
      launch(name, for_each_of_kernel<F>, dim3(static_cast<unsigned>(blocks)), dim3(map_threads), 0,
             current_stream(), loops);
  }
}

}  // namespace loru::cuda::detail
