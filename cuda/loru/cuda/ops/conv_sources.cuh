#pragma once
// The operands of a convolution as matrices that are never formed: the place of an element is computed from
// its row and column where it is read.
//
// A source has rows() and columns() of a block's group; row(i) and column(k) do the divisions once, at(row,
// column) gives the element's address, or null outside of the image or of the matrix; any() is an address of
// nothing in particular. Where channels come in multiples of 16 bytes, the elements of a 16-byte unit of
// columns follow each other in memory.

#include <climits>

#include <loru/cuda/ops/copy.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda::detail {

/// Extents of a convolution as the kernels use them (loru::detail::ConvExtents).
struct ConvGeometry {
  int n, h, w, cin, cout, kh, kw, ho, wo, cg, mg, stride, padding, dilation;

  explicit ConvGeometry(const loru::detail::ConvExtents& e)
      : n{narrow(e.n)},
        h{narrow(e.h)},
        w{narrow(e.w)},
        cin{narrow(e.cin)},
        cout{narrow(e.cout)},
        kh{narrow(e.kh)},
        kw{narrow(e.kw)},
        ho{narrow(e.ho)},
        wo{narrow(e.wo)},
        cg{narrow(e.cg)},
        mg{narrow(e.mg)},
        stride{narrow(e.o.stride)},
        padding{narrow(e.o.padding)},
        dilation{narrow(e.o.dilation)} {}

  static int narrow(Index v, Index most = INT_MAX) {
    require<ShapeError>(v >= 0 && v <= most, "conv2d: expected extents of at most ", most, ", got ", v);
    return static_cast<int>(v);
  }
};

/// A plain matrix (rows, columns) a group: group g begins at data + g·group_stride, rows are ld apart.
template <class T>
struct PlainSource {
  const T* data;
  Index row_count, ld, group_stride;
  int column_count;

  using Row = const T*;
  using Column = int;
  __device__ Index rows() const { return row_count; }
  __device__ int columns() const { return column_count; }
  __device__ Row row(Index i, int group) const {
    return i < row_count ? data + group * group_stride + i * ld : nullptr;
  }
  __device__ Column column(int k, int) const { return k < column_count ? k : -1; }
  __device__ const T* any() const { return data; }
  __device__ const T* at(Row row, Column k) const { return row && k >= 0 ? row + k : nullptr; }
};

/// An image's pixel grid seen from a row: the row's image and the position of kernel element (0, 0).
template <class T>
struct WindowRow {
  const T* image;
  int y, x;
};

/// What a column adds to that position, and its channel; a channel below 0 is outside of the matrix.
struct WindowColumn {
  int y, x, channel;
};

/// Windows of x: row = output pixel (n, oh, ow), column = (kernel row, kernel column, channel of the group).
template <class T>
struct WindowSource {
  const T* x;
  ConvGeometry g;

  using Row = WindowRow<T>;
  using Column = WindowColumn;
  __device__ const T* any() const { return x; }
  __device__ Index rows() const { return static_cast<Index>(g.n) * g.ho * g.wo; }
  __device__ int columns() const { return g.kh * g.kw * g.cg; }
  __device__ Row row(Index i, int) const {
    if (i >= rows()) return {nullptr, 0, 0};
    const Index line = i / g.wo;
    return {x + line / g.ho * g.h * g.w * g.cin, static_cast<int>(line % g.ho) * g.stride - g.padding,
            static_cast<int>(i % g.wo) * g.stride - g.padding};
  }
  __device__ Column column(int k, int group) const {
    if (k >= columns()) return {0, 0, -1};
    const int place = k / g.cg;
    return {place / g.kw * g.dilation, place % g.kw * g.dilation, group * g.cg + k % g.cg};
  }
  __device__ const T* at(Row r, Column c) const {
    const int y = r.y + c.y, column = r.x + c.x;
    if (!r.image || c.channel < 0 || y < 0 || y >= g.h || column < 0 || column >= g.w) return nullptr;
    return r.image + (static_cast<Index>(y) * g.w + column) * g.cin + c.channel;
  }
};

/// The elements of dy that an input pixel reaches: row = input pixel (n, h, w), column = (kernel row, kernel
/// column, output channel of the group).
template <class T>
struct ReachSource {
  const T* dy;
  ConvGeometry g;

  using Row = WindowRow<T>;
  using Column = WindowColumn;
  __device__ const T* any() const { return dy; }
  __device__ Index rows() const { return static_cast<Index>(g.n) * g.h * g.w; }
  __device__ int columns() const { return g.kh * g.kw * g.mg; }
  __device__ Row row(Index i, int) const {
    if (i >= rows()) return {nullptr, 0, 0};
    const Index line = i / g.w;
    return {dy + line / g.h * g.ho * g.wo * g.cout, static_cast<int>(line % g.h) + g.padding,
            static_cast<int>(i % g.w) + g.padding};
  }
  __device__ Column column(int k, int group) const {
    if (k >= columns()) return {0, 0, -1};
    const int place = k / g.mg;
    return {place / g.kw * g.dilation, place % g.kw * g.dilation, group * g.mg + k % g.mg};
  }
  __device__ const T* at(Row r, Column c) const {
    const int y = r.y - c.y, x = r.x - c.x;
    if (!r.image || c.channel < 0 || y < 0 || x < 0 || y % g.stride != 0 || x % g.stride != 0) return nullptr;
    const int oh = y / g.stride, ow = x / g.stride;
    if (oh >= g.ho || ow >= g.wo) return nullptr;
    return r.image + (static_cast<Index>(oh) * g.wo + ow) * g.cout + c.channel;
  }
};

/// Weights (Cout, kh, kw, cg) in memory, reordered to (Cin, kh, kw, mg): rows that meet those of a
/// ReachSource.
template <class T>
struct TransposeWeight {
  const T* w;
  T* out;
  ConvGeometry g;
  __device__ void operator()(Index i) const {
    const Index m = i % g.mg, place = i / g.mg % (g.kh * g.kw), c = i / g.mg / (g.kh * g.kw);
    const Index from = c / g.cg * g.mg + m;  // output channel
    out[i] = w[(from * g.kh * g.kw + place) * g.cg + c % g.cg];
  }
};

}  // namespace loru::cuda::detail
