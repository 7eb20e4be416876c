#pragma once
// Pooling, channels-last. Every output element and every input element has its own thread, but for
// max_pool2d_backward: there a thread has a band of pixels.

#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/tuning.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

namespace detail {

/// Element i = ((n·Ho + oh)·Wo + ow)·C + c of max_pool2d.
template <class T>
struct MaxPoolElement {
  const T* x;
  T* y;
  std::int32_t* winners;
  Index c, h, w;
  LongDivisor channels, lines, pixels;  // by C, Ho, Wo
  PoolOptions o;
  __device__ void operator()(Index i) const {
    const Index pixel = channels.quotient(i), line = pixels.quotient(pixel), of = lines.quotient(line),
                top = lines.remainder(line, of) * o.stride - o.padding,
                left = pixels.remainder(pixel, line) * o.stride - o.padding;
    const T* image = x + of * h * w * c + channels.remainder(i, pixel);
    Index winner = max(top, Index{0}) * w + max(left, Index{0});
    T best = image[winner * c];
    for (Index row = max(top, Index{0}); row < min(top + o.kernel, h); ++row)
      for (Index column = max(left, Index{0}); column < min(left + o.kernel, w); ++column) {
        const T v = image[(row * w + column) * c];
        if (!(v > best)) continue;
        best = v;
        winner = row * w + column;
      }
    y[i] = best;
    winners[i] = static_cast<std::int32_t>(winner);
  }
};

/// Band i / C % bands of channel i % C of an image of max_pool2d_backward: `height` pixels of dx. The thread
/// looks at all winners of its plane and takes the gradients of those in its band, in their order: windows
/// may overlap.
template <class T>
struct MaxPoolBackwardBand {
  const T* dy;
  const std::int32_t* winners;
  T* dx;
  Index input, output;  // pixels of an image
  std::int32_t height;
  LongDivisor channels, bands;
  __device__ void operator()(Index i) const {
    const Index c = static_cast<Index>(channels.by), all = channels.quotient(i),
                channel = channels.remainder(i, all);
    const Index image = bands.quotient(all), first = bands.remainder(all, image) * height;
    const auto low = static_cast<std::int32_t>(first),
               high = static_cast<std::int32_t>(min(first + height, input));
    const Index from = image * output * c + channel;
    T* const plane = dx + image * input * c + channel;
    for (std::int32_t pixel = low; pixel < high; ++pixel) plane[pixel * c] = T(0);
    for (Index p = 0; p < output; ++p) {
      const std::int32_t winner = winners[from + p * c];
      if (winner >= low && winner < high) plane[winner * c] += dy[from + p * c];
    }
  }
};

using loru::detail::AdaptiveRange;

/// Element i of adaptive_avg_pool2d.
template <class T>
struct AdaptiveElement {
  const T* x;
  T* y;
  Index c, h, w, ho, wo;
  __device__ void operator()(Index i) const {
    const Index pixel = i / c;
    const AdaptiveRange rows(pixel / wo % ho, h, ho), columns(pixel % wo, w, wo);
    const T* image = x + pixel / (ho * wo) * h * w * c + i % c;
    const T weight = T(1) / static_cast<T>(rows.count() * columns.count());
    T sum = T(0);
    for (Index row = rows.first; row < rows.last; ++row)
      for (Index column = columns.first; column < columns.last; ++column)
        sum += weight * image[(row * w + column) * c];
    y[i] = sum;
  }
};

/// Element i of adaptive_avg_pool2d_backward: the sum over all windows that hold the pixel.
template <class T>
struct AdaptiveBackwardElement {
  const T* dy;
  T* dx;
  Index c, h, w, ho, wo;
  __device__ void operator()(Index i) const {
    const Index pixel = i / c, row = pixel / w % h, column = pixel % w;
    const T* image = dy + pixel / (h * w) * ho * wo * c + i % c;
    T sum = T(0);
    for (Index oh = row * ho / h; oh < ho; ++oh) {
      const AdaptiveRange rows(oh, h, ho);
      if (rows.first > row) break;
      for (Index ow = column * wo / w; ow < wo; ++ow) {
        const AdaptiveRange columns(ow, w, wo);
        if (columns.first > column) break;
        const T weight = T(1) / static_cast<T>(rows.count() * columns.count());
        sum += weight * image[(oh * wo + ow) * c];
      }
    }
    dx[i] = sum;
  }
};

}  // namespace detail

template <class T>
MaxPool<T, Cuda> max_pool2d(const Array<T>& x_any, const PoolOptions& o) {
  const Array<T> x = to_layout(x_any, Layout::channels_last);
  const Shape shape = pool_shape(x.shape(), o);
  MaxPool<T, Cuda> y{Array<T>(shape, Layout::channels_last), Labels(shape, Layout::channels_last)};
  detail::for_each(
      "max_pool2d", y.output.size(),
      detail::MaxPoolElement<T>{x.data(), y.output.data(), y.winners.data(), x.dim(1), x.dim(2), x.dim(3),
                                LongDivisor(x.dim(1)), LongDivisor(shape[2]), LongDivisor(shape[3]), o});
  return y;
}

template <class T>
Array<T> max_pool2d_backward(const Array<T>& dy_any, const Labels& winners, const Shape& x_shape) {
  const Array<T> dy = to_layout(dy_any, Layout::channels_last);
  loru::detail::check_pool_gradient(dy.shape(), winners.shape());
  Array<T> dx(x_shape, Layout::channels_last);
  const Index planes = x_shape[0] * x_shape[1], pixels = x_shape[2] * x_shape[3];
  if (planes * pixels == 0) return dx;
  const Index wanted = pool_bands(planes, pixels), height = (pixels + wanted - 1) / wanted,
              bands = (pixels + height - 1) / height;
  constexpr Index each = 1;
  detail::for_each("max_pool2d_backward", planes * bands,
                   detail::MaxPoolBackwardBand<T>{dy.data(), winners.data(), dx.data(), pixels,
                                                  dy.dim(2) * dy.dim(3), static_cast<std::int32_t>(height),
                                                  LongDivisor(x_shape[1]), LongDivisor(bands)},
                   each);
  return dx;
}

template <class T>
Array<T> adaptive_avg_pool2d(const Array<T>& x_any, Index ho, Index wo) {
  loru::detail::check_adaptive(x_any.shape(), ho, wo);
  const Array<T> x = to_layout(x_any, Layout::channels_last);
  Array<T> y(Shape{x.dim(0), x.dim(1), ho, wo}, Layout::channels_last);
  detail::for_each("adaptive_avg_pool2d", y.size(),
                   detail::AdaptiveElement<T>{x.data(), y.data(), x.dim(1), x.dim(2), x.dim(3), ho, wo});
  return y;
}

template <class T>
Array<T> adaptive_avg_pool2d_backward(const Array<T>& dy_any, const Shape& x_shape) {
  const Array<T> dy = to_layout(dy_any, Layout::channels_last);
  Array<T> dx(x_shape, Layout::channels_last);
  detail::for_each("adaptive_avg_pool2d_backward", dx.size(),
                   detail::AdaptiveBackwardElement<T>{dy.data(), dx.data(), x_shape[1], x_shape[2],
                                                      x_shape[3], dy.dim(2), dy.dim(3)});
  return dx;
}

}  // namespace loru::cuda
