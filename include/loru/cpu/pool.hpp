#pragma once
// Pooling on host tensors, channels-last.

#include <limits>

#include <loru/cpu/elementwise.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Where in[k] > best[k], best[k] = in[k] and winner[k] = pixel.
template <Scalar T>
void keep_larger(Index c, const T* __restrict in, std::int32_t pixel, T* __restrict best,
                 std::int32_t* __restrict winner) {
  for (Index k = 0; k < c; ++k) {
    const bool better = in[k] > best[k];
    best[k] = better ? in[k] : best[k];
    winner[k] = better ? pixel : winner[k];
  }
}

}  // namespace cpu

/// y[n, c, i, j] = max of the window of x; ties go to the first in row-major order; padding never wins.
/// x (N, C, H, W), y (N, C, Ho, Wo). Throws ShapeError.
template <Scalar T>
MaxPool<T> max_pool2d(const Tensor<T>& x_any, const PoolOptions& o) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Shape shape = pool_shape(x.shape(), o);
  const Index h = x.dim(2), w = x.dim(3), c = x.dim(1), ho = shape[2], wo = shape[3];
  MaxPool<T> y{Tensor<T>(shape, Layout::channels_last), Tensor<std::int32_t>(shape, Layout::channels_last)};
  T* out = y.output.data();
  std::int32_t* winner = y.winners.data();
  for (Index line = 0; line < shape[0] * ho; ++line) {
    const T* image = x.data() + line / ho * h * w * c;
    const Index y0 = line % ho * o.stride - o.padding;
    for (Index ow = 0; ow < wo; ++ow, out += c, winner += c) {
      const Index x0 = ow * o.stride - o.padding;
      const Index i0 = std::max<Index>(y0, 0), j0 = std::max<Index>(x0, 0);
      std::copy_n(image + (i0 * w + j0) * c, c, out);
      std::fill_n(winner, c, static_cast<std::int32_t>(i0 * w + j0));
      for (Index i = i0; i < std::min(y0 + o.kernel, h); ++i)
        for (Index j = j0; j < std::min(x0 + o.kernel, w); ++j)
          cpu::keep_larger(c, image + (i * w + j) * c, static_cast<std::int32_t>(i * w + j), out, winner);
    }
  }
  return y;
}

/// Adds every dy to the input pixel that won. x_shape (N, C, H, W).
template <Scalar T>
Tensor<T> max_pool2d_backward(const Tensor<T>& dy_any, const Tensor<std::int32_t>& winners,
                              const Shape& x_shape) {
  const Tensor<T> dy = to_layout(dy_any, Layout::channels_last);
  detail::check_pool_gradient(dy.shape(), winners.shape());
  Tensor<T> dx(x_shape, Layout::channels_last);
  fill(dx, T(0));
  const Index c = x_shape[1], image = x_shape[2] * x_shape[3] * c, pixels = dy.dim(2) * dy.dim(3);
  const T* in = dy.data();
  const std::int32_t* winner = winners.data();
  for (Index p = 0; p < x_shape[0] * pixels; ++p, in += c, winner += c) {
    T* out = dx.data() + p / pixels * image;
    for (Index k = 0; k < c; ++k) out[static_cast<Index>(winner[k]) * c + k] += in[k];
  }
  return dx;
}

namespace cpu {

/// f(output offset, input offset, number of averaged pixels) for every pair of pixels, channel 0.
template <class F>
void for_each_adaptive(const Shape& x, Index ho, Index wo, F f) {
  for (Index n = 0; n < x[0]; ++n)
    for (Index i = 0; i < ho; ++i)
      for (Index j = 0; j < wo; ++j) {
        const detail::AdaptiveRange rows(i, x[2], ho), cols(j, x[3], wo);
        for (Index h = rows.first; h < rows.last; ++h)
          for (Index w = cols.first; w < cols.last; ++w)
            f(((n * ho + i) * wo + j) * x[1], ((n * x[2] + h) * x[3] + w) * x[1],
              rows.count() * cols.count());
      }
}

}  // namespace cpu

/// Mean over windows that tile the image into ho × wo outputs: x (N, C, H, W), y (N, C, ho, wo).
template <Scalar T>
Tensor<T> adaptive_avg_pool2d(const Tensor<T>& x_any, Index ho, Index wo) {
  detail::check_adaptive(x_any.shape(), ho, wo);
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index c = x.dim(1);
  Tensor<T> y(Shape{x.dim(0), c, ho, wo}, Layout::channels_last);
  fill(y, T(0));
  cpu::for_each_adaptive(x.shape(), ho, wo, [&](Index out, Index in, Index count) {
    const T weight = T(Real<T>(1) / static_cast<Real<T>>(count));
    for (Index k = 0; k < c; ++k) y.data()[out + k] += weight * x.data()[in + k];
  });
  return y;
}

/// Spreads every dy evenly over its window. x_shape (N, C, H, W).
template <Scalar T>
Tensor<T> adaptive_avg_pool2d_backward(const Tensor<T>& dy_any, const Shape& x_shape) {
  const Tensor<T> dy = to_layout(dy_any, Layout::channels_last);
  Tensor<T> dx(x_shape, Layout::channels_last);
  fill(dx, T(0));
  const Index c = x_shape[1];
  cpu::for_each_adaptive(x_shape, dy.dim(2), dy.dim(3), [&](Index out, Index in, Index count) {
    const T weight = T(Real<T>(1) / static_cast<Real<T>>(count));
    for (Index k = 0; k < c; ++k) dx.data()[in + k] += weight * dy.data()[out + k];
  });
  return dx;
}

}  // namespace loru::inline LORU_ISA
