#pragma once
// A convolution's operands as matrices that are never formed (implicit GEMM): tiles are gathered from the
// image or the weight where a matrix's would be copied, so that kernels over tiles take either. Channels
// last; without groups.
#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/device/tile.cuh>

namespace loru::cuda {

/// x (n, h, w, c), weight (m, kh, kw, c), y (n, ho, wo, m), channels last. None is zero; pixels and windows
/// are at most 2^31 - 1.
struct ConvShape {
  int n, h, w, c, m, kh, kw, ho, wo, stride, padding, dilation;

  int pixels() const { return n * ho * wo; }      // of y
  int input_pixels() const { return n * h * w; }  // of x
  int places() const { return kh * kw; }          // of the kernel
  int window() const { return kh * kw * c; }
};

/// For each pixel of one image's grid, the values of another image that it is multiplied with: (pixels, kh kw
/// channels). Columns run over the kernel's places and then over channels. Values outside the image are zero.
///   Back = false  windows of x: output pixel oh reads x at oh stride - padding + i dilation
///   Back = true   y at the pixels that input pixel h reaches: oh with oh stride = h + padding - i dilation
template <class T, bool Back>
struct Windows {
  using Element = T;
  const T* data;
  int rows, cols;               // of the matrix
  int height, width, channels;  // of the image
  Divisor grid_height, grid_width, of_channels, kernel_width, strides;
  int padding, dilation;

  /// The address of (i, k), null where it is zero. i < rows, k < cols.
  __device__ __forceinline__ const T* find(int i, int k) const {
    const int line = grid_width.quotient(i), image = grid_height.quotient(line);
    const int place = of_channels.quotient(k), row = kernel_width.quotient(place);
    const int stride = static_cast<int>(strides.by), down = row * dilation,
              across = kernel_width.remainder(place, row) * dilation;
    int y = grid_height.remainder(line, image), x = grid_width.remainder(i, line);
    if constexpr (Back) {
      y += padding - down, x += padding - across;
      if (y < 0 || x < 0) return nullptr;
      const int oh = strides.quotient(y), ow = strides.quotient(x);
      if (strides.remainder(y, oh) != 0 || strides.remainder(x, ow) != 0) return nullptr;
      y = oh, x = ow;
    } else {
      y = y * stride - padding + down, x = x * stride - padding + across;
      if (y < 0 || x < 0) return nullptr;
    }
    if (y >= height || x >= width) return nullptr;
    return data + static_cast<std::int64_t>((image * height + y) * width + x) * channels +
           of_channels.remainder(k, place);
  }
};

/// The windows of x: (pixels, window).
template <class T>
Windows<T, false> windows_of(const T* x, const ConvShape& s) {
  return {x,
          s.pixels(),
          s.window(),
          s.h,
          s.w,
          s.c,
          Divisor(s.ho),
          Divisor(s.wo),
          Divisor(s.c),
          Divisor(s.kw),
          Divisor(s.stride),
          s.padding,
          s.dilation};
}

/// The values of an image like y, but of `channels`, that the pixels of x reach: (input_pixels, places
/// channels).
template <class T>
Windows<T, true> reach_of(const T* y, const ConvShape& s, int channels) {
  return {y,
          s.input_pixels(),
          s.places() * channels,
          s.ho,
          s.wo,
          channels,
          Divisor(s.h),
          Divisor(s.w),
          Divisor(channels),
          Divisor(s.kw),
          Divisor(s.stride),
          s.padding,
          s.dilation};
}

/// A weight (outs, places, cols) whose rows are taken place by place, (places outs, cols): the right operand
/// that meets reach_of.
template <class T>
struct PlaceRows {
  using Element = T;
  const T* data;
  int rows, cols, places;
  Divisor outs;

  __device__ __forceinline__ const T* find(int k, int j) const {
    const int place = outs.quotient(k);
    return data + static_cast<std::int64_t>(outs.remainder(k, place) * places + place) * cols + j;
  }
};

template <class T>
PlaceRows<T> place_rows(const T* weight, int outs, int places, int cols) {
  return {weight, places * outs, cols, places, Divisor(outs)};
}

/// Whether 16 bytes of columns follow one another in memory, on a 16-byte boundary.
template <class T, bool Back>
bool rows_aligned(const Windows<T, Back>& m) {
  return rows_aligned(Matrix<const T>{m.data, 1, m.channels, m.channels});
}
template <class T>
bool rows_aligned(const PlaceRows<T>& m) {
  return rows_aligned(Matrix<const T>{m.data, 1, m.cols, m.cols});
}

/// The matrix without its rows from `last` on.
template <class T, bool Back>
__host__ __device__ Windows<T, Back> rows_before(Windows<T, Back> m, int last) {
  m.rows = last;
  return m;
}

/// A matrix that gives the address of single elements, or of 16 bytes of columns.
template <class M>
concept Gathered = requires(const M& m, int i) { m.find(i, i); };

/// load_tile of a gathered matrix.
template <int Threads, int Rows, int Cols, bool Aligned, int Stride = 0, Gathered M>
__device__ __forceinline__ void load_tile(typename M::Element* tile, const M& source, int row, int column) {
  using T = typename M::Element;
  constexpr int stride = Stride != 0 ? Stride : row_stride<T, Cols>;
  const auto find = [&](int i, int j) -> const T* {
    const bool inside = row + i < source.rows && column + j < source.cols;
    return inside ? source.find(row + i, column + j) : nullptr;
  };
  if constexpr (Aligned)
    detail::copy_tile<Threads, Rows, Cols, stride>(tile, [&](int i, int j) {
      const T* const from = find(i, j);
      return detail::Copy16<T>{from ? from : source.data, from ? 16 : 0};
    });
  else
    detail::store_tile<Threads, Rows, Cols, stride>(tile, [&](int i, int j) {
      const T* const from = find(i, j);
      return from ? *from : from_float<T>(0.0f);
    });
}

}  // namespace loru::cuda
