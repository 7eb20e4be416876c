#pragma once
// 2-d convolution as products of matrices that are never formed (implicit GEMM): no window matrix lies in
// memory.
//   forward   y = windows(x) · wᵀ
//   dx        = reach(dy) · w
//   dw        = dyᵀ · windows(x)
// Sums are cut into pieces, which are added in their order, where a result has too few blocks for the device.
// In float without groups by the kernels of kernels/convolution.cuh, in the precision that products have; in
// double and with groups by those of conv_kernels.cuh, where dx takes a copy of the weight with its channels
// exchanged. Convolutions with a 1 x 1 kernel and stride 1 are plain products, by cuBLAS.

#include <concepts>

#include <loru/cuda/kernels/convolution.cuh>
#include <loru/cuda/ops/conv_kernels.cuh>
#include <loru/cuda/ops/kernels.cuh>
#include <loru/cuda/ops/matmul.cuh>
#include <loru/cuda/ops/reduce.cuh>

namespace loru::cuda {

namespace detail {

using loru::detail::ConvExtents;

/// Whether the kernels of kernels/convolution.cuh apply: one group, and no extent is zero.
inline bool tiled(const ConvExtents& e) {
  return e.o.groups == 1 && e.n * e.ho * e.wo * e.cout > 0 && e.n * e.h * e.w * e.window() > 0;
}

/// Extents as those kernels use them: pixels and windows are counted in int up to the end of the last tile,
/// of at most 128. Throws ShapeError.
inline ConvShape conv_shape(const ConvExtents& e) {
  constexpr Index most = (Index{1} << 31) - 128;
  const ConvGeometry g(e);
  ConvGeometry::narrow(std::max(e.n * e.ho * e.wo, e.n * e.h * e.w), most);
  ConvGeometry::narrow(e.kh * e.kw * std::max(e.cin, e.cout), most);
  return {g.n, g.h, g.w, g.cin, g.cout, g.kh, g.kw, g.ho, g.wo, g.stride, g.padding, g.dilation};
}

/// x and w are channels-last.
template <std::same_as<float> T>
Array<T> tiled_conv2d(const Array<T>& x, const Array<T>& w, const ConvExtents& e) {
  Array<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last), rows = y.as_matrix(e.n * e.ho * e.wo);
  with_math([&]<class Math>(Math) {
    conv_forward<Math>(conv_shape(e), x.data(), view(w.as_matrix(e.cout)), view(rows), queue());
  });
  return y;
}

template <std::same_as<float> T>
Array<T> tiled_conv2d_dx(const Array<T>& dy, const Array<T>& w, const ConvExtents& e) {
  Array<T> dx(Shape{e.n, e.cin, e.h, e.w}, Layout::channels_last), rows = dx.as_matrix(e.n * e.h * e.w);
  with_math([&]<class Math>(Math) {
    conv_backward_dx<Math>(conv_shape(e), view(dy.as_matrix(e.n * e.ho * e.wo)), view(w.as_matrix(e.cout)),
                           {}, {}, view(rows), queue());
  });
  return dx;
}

template <std::same_as<float> T>
Array<T> tiled_conv2d_dw(const Array<T>& dy, const Array<T>& x, const Shape& w_shape, const ConvExtents& e) {
  const ConvShape shape = conv_shape(e);
  Array<T> dw(w_shape, Layout::channels_last), rows = dw.as_matrix(e.cout);
  with_math([&]<class Math>(Math) {
    conv_backward_dW<Math>(shape, view(dy.as_matrix(shape.pixels())), x.data(), view(rows), queue());
  });
  return dw;
}

inline unsigned conv_tiles(Index n) { return static_cast<unsigned>((n + conv_tile - 1) / conv_tile); }

/// Blocks in y and z are at most 65535.
inline void check_grid(const dim3& grid) {
  require<ShapeError>(grid.y <= 65535 && grid.z <= 65535,
                      "conv2d: expected at most 65535 tiles of channels and groups, got ", grid.y, " and ",
                      grid.z);
}

template <class T, bool Aligned, class Left, class Right>
void conv_rows(const char* name, const Left& left, const Right& right, Index rows, Index columns,
               Index groups, ConvResult<T> result) {
  const dim3 grid(conv_tiles(rows), conv_tiles(columns), static_cast<unsigned>(groups));
  check_grid(grid);
  constexpr std::size_t shared = 4 * conv_tile * (conv_depth<T> + unit<T>)*sizeof(T);
  launch(name, conv_rows_kernel<T, Aligned, Left, Right>, grid, dim3(conv_threads), shared, current_stream(),
         left, right, result);
}

/// result(i, g·columns + j) = Σ_k left(i, k)·right(j, k) for each group g.
template <class T, class Left, class Right>
void conv_rows(const char* name, bool aligned, const Left& left, const Right& right, Index rows,
               Index columns, Index groups, ConvResult<T> result) {
  if (rows == 0 || columns == 0) return;
  if (aligned)
    conv_rows<T, true>(name, left, right, rows, columns, groups, result);
  else
    conv_rows<T, false>(name, left, right, rows, columns, groups, result);
}

/// Pixels that one block adds up: enough blocks for a large device, but at least 256 pixels each.
inline Index pixels_of_piece(Index pixels, Index tiles) {
  constexpr Index blocks = 512, least = 256;
  const Index pieces = std::max<Index>(1, std::min(blocks / tiles, pixels / least));
  return (pixels + pieces - 1) / pieces;
}

template <class T, bool Aligned>
Array<T> conv_pixels(const PlainSource<T>& dy, const WindowSource<T>& windows, const ConvExtents& e) {
  const Index pixels = e.n * e.ho * e.wo;
  dim3 grid(conv_tiles(e.mg), conv_tiles(e.window()), static_cast<unsigned>(e.o.groups));
  const Index each = pixels_of_piece(pixels, Index{grid.x} * grid.y * grid.z),
              pieces = (pixels + each - 1) / each;
  grid.z *= static_cast<unsigned>(pieces);
  check_grid(grid);
  Array<T> parts(Shape{pieces, e.cout * e.window()});
  constexpr std::size_t shared = 4 * conv_tile * conv_depth<T> * sizeof(T);
  launch("conv2d_backward_weight", conv_pixels_kernel<T, Aligned, PlainSource<T>, WindowSource<T>>, grid,
         dim3(conv_threads), shared, current_stream(), dy, windows, static_cast<int>(e.o.groups), each,
         parts.data());
  return pieces == 1 ? parts : column_sum(parts);
}

}  // namespace detail

template <class T>
Array<T> conv2d(const Array<T>& x_any, const Array<T>& w_any, const ConvOptions& o) {
  const Array<T> x = to_layout(x_any, Layout::channels_last), w = to_layout(w_any, Layout::channels_last);
  const detail::ConvExtents e(x.shape(), w.shape(), o);
  const Index pixels = e.n * e.ho * e.wo;
  Array<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  if (e.pointwise()) {
    Array<T> out = y.reinterpret({pixels, e.cout}, Layout::row_major);
    matmul_into(out, T(1), x.reinterpret({pixels, e.cin}, Layout::row_major),
                w.reinterpret({e.cout, e.cin}, Layout::row_major), {Op::none, Op::transpose}, T(0));
    return y;
  }
  if constexpr (std::same_as<T, float>)
    if (detail::tiled(e)) return detail::tiled_conv2d(x, w, e);
  const detail::WindowSource<T> windows{x.data(), detail::ConvGeometry(e)};
  const detail::PlainSource<T> weight{w.data(), e.mg, e.window(), e.mg * e.window(),
                                      static_cast<int>(e.window())};
  detail::conv_rows<T>("conv2d", e.cg % detail::unit<T> == 0, windows, weight, pixels, e.mg, o.groups,
                       {y.data(), e.cout});
  return y;
}

template <class T>
Array<T> conv2d_backward_input(const Array<T>& dy_any, const Array<T>& w_any, const Shape& x_shape,
                               const ConvOptions& o) {
  const Array<T> dy = to_layout(dy_any, Layout::channels_last), w = to_layout(w_any, Layout::channels_last);
  const detail::ConvExtents e(x_shape, w.shape(), o);
  loru::detail::check_gradient_shape("conv2d_backward_input", dy.shape(), e);
  const Index pixels = e.n * e.h * e.w, reach = e.kh * e.kw * e.mg;
  Array<T> dx(x_shape, Layout::channels_last);
  if (e.pointwise()) {
    Array<T> out = dx.reinterpret({pixels, e.cin}, Layout::row_major);
    matmul_into(out, T(1), dy.reinterpret({pixels, e.cout}, Layout::row_major),
                w.reinterpret({e.cout, e.cin}, Layout::row_major), {}, T(0));
    return dx;
  }
  if constexpr (std::same_as<T, float>)
    if (detail::tiled(e)) return detail::tiled_conv2d_dx(dy, w, e);
  const detail::ConvGeometry g(e);
  Array<T> exchanged(Shape{e.cin, reach});
  detail::for_each("conv2d_backward_input", exchanged.size(),
                   detail::TransposeWeight<T>{w.data(), exchanged.data(), g});
  const detail::ReachSource<T> gradients{dy.data(), g};
  const detail::PlainSource<T> weight{exchanged.data(), e.cg, reach, e.cg * reach, static_cast<int>(reach)};
  detail::conv_rows<T>("conv2d_backward_input", e.mg % detail::unit<T> == 0, gradients, weight, pixels, e.cg,
                       o.groups, {dx.data(), e.cin});
  return dx;
}

template <class T>
Array<T> conv2d_backward_weight(const Array<T>& dy_any, const Array<T>& x_any, const Shape& w_shape,
                                const ConvOptions& o) {
  const Array<T> dy = to_layout(dy_any, Layout::channels_last), x = to_layout(x_any, Layout::channels_last);
  const detail::ConvExtents e(x.shape(), w_shape, o);
  loru::detail::check_gradient_shape("conv2d_backward_weight", dy.shape(), e);
  const Index pixels = e.n * e.ho * e.wo;
  Array<T> dw(w_shape, Layout::channels_last);
  if (e.pointwise()) {
    Array<T> out = dw.reinterpret({e.cout, e.cin}, Layout::row_major);
    matmul_into(out, T(1), dy.reinterpret({pixels, e.cout}, Layout::row_major),
                x.reinterpret({pixels, e.cin}, Layout::row_major), {Op::transpose, Op::none}, T(0));
    return dw;
  }
  if (dw.size() == 0 || pixels == 0) {
    fill(dw, T(0));
    return dw;
  }
  if constexpr (std::same_as<T, float>)
    if (detail::tiled(e)) return detail::tiled_conv2d_dw(dy, x, w_shape, e);
  const detail::PlainSource<T> gradients{dy.data(), pixels, e.cout, e.mg, static_cast<int>(e.mg)};
  const detail::WindowSource<T> windows{x.data(), detail::ConvGeometry(e)};
  const bool aligned = e.mg % detail::unit<T> == 0 && e.cg % detail::unit<T> == 0;
  return (aligned ? detail::conv_pixels<T, true>(gradients, windows, e)
                  : detail::conv_pixels<T, false>(gradients, windows, e))
      .reinterpret(w_shape, Layout::channels_last);
}

#ifdef LORU_CUDA_COMPILED
LORU_CONV_OPS(LORU_EXTERN_OP, float, Cuda)
#endif

}  // namespace loru::cuda
