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

/// Queues f(i) for i in [0, n); no two of them may write what another touches.
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

}  // namespace loru::cuda::detail
