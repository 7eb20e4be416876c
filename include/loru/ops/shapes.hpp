#pragma once
// What ops expect of the shapes of their tensors, for every device: one place, one wording.

#include <algorithm>

#include <loru/core/host_device.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA::detail {

// ---- matmul, bias ----

/// Rows of features: (M, n) as it is, channels-last (N, C, H, W) as (N·H·W, C).
template <class T, class D>
Tensor<T, D> feature_rows(const Tensor<T, D>& x) {
  if (x.rank() != 4) return x;
  return to_layout(x, Layout::channels_last)
      .reinterpret({x.dim(0) * x.dim(2) * x.dim(3), x.dim(1)}, Layout::row_major);
}

struct ProductShape {
  Index m, n, k;
};

inline ProductShape product_shape(const Shape& a, const Shape& b, MatmulOptions o) {
  require<ShapeError>(a.rank() == 2 && b.rank() == 2, "matmul: expected matrices, got ", a, " and ", b);
  const bool ta = o.a == Op::transpose, tb = o.b == Op::transpose;
  const Index m = a[ta], k = a[!ta], n = b[!tb];
  require<ShapeError>(b[tb] == k, "matmul: inner extents differ: ", a, ta ? "ᵀ" : "", " · ", b,
                      tb ? "ᵀ" : "");
  return {m, n, k};
}

template <class T, class D>
ProductShape product_shape(const Tensor<T, D>& a, const Tensor<T, D>& b, MatmulOptions o) {
  return product_shape(a.shape(), b.shape(), o);
}

inline void check_product(const Shape& c, Index m, Index n) {
  require<ShapeError>(c == Shape{m, n}, "matmul_into: expected a result of shape (", m, ", ", n, "), got ",
                      c);
}

template <class T, class D>
void check_bias(const char* where, const Tensor<T, D>& x, const Tensor<T, D>& bias) {
  require<ShapeError>(x.rank() == 2 && bias.rank() == 1 && x.dim(1) == bias.size(), where, ": bias ",
                      bias.shape(), " does not fit rows of ", x.shape());
}

inline void check_bias_gradient(const Shape& y, const Shape& dy) {
  require<ShapeError>(y.rank() == 2 && y == dy, "add_bias_backward: expected two matrices of one shape, got ",
                      y, " and ", dy);
}

// ---- conv ----

/// Extents of one convolution. Rows of the window matrix are output pixels (n, oh, ow); its columns run over
/// (kernel row, kernel column, channel of the group).
struct ConvExtents {
  Index n, h, w, cin, cout, kh, kw, ho, wo, cg, mg;  // cg, mg: channels in and out of a group
  ConvOptions o;

  ConvExtents(const Shape& x, const Shape& weight, const ConvOptions& options) : o{options} {
    const Shape y = conv_shape(x, weight, options);
    n = x[0], cin = x[1], h = x[2], w = x[3];
    cout = y[1], ho = y[2], wo = y[3];
    kh = weight[2], kw = weight[3], cg = weight[1], mg = cout / o.groups;
  }
  Index window() const { return kh * kw * cg; }
  Index line() const { return kw * cg; }
  /// Output lines of a block of about `pixels` rows whose window matrix of `width` columns stays below 8 MiB
  /// of floats.
  Index block_lines(Index pixels, Index width) const {
    const Index rows = std::min(pixels, Index{2 << 20} / std::max<Index>(1, width));
    return std::max<Index>(1, rows / std::max<Index>(1, wo));
  }
  bool pointwise() const { return kh == 1 && kw == 1 && o.stride == 1 && o.padding == 0 && o.groups == 1; }
};

inline void check_gradient_shape(const char* where, const Shape& dy, const ConvExtents& e) {
  const Shape expected{e.n, e.cout, e.ho, e.wo};
  require<ShapeError>(dy == expected, where, ": expected dy of shape ", expected, ", got ", dy);
}

// ---- pool ----

inline void check_pool_gradient(const Shape& dy, const Shape& winners) {
  require<ShapeError>(dy == winners, "max_pool2d_backward: expected dy of shape ", winners, ", got ", dy);
}

inline void check_adaptive(const Shape& x, Index ho, Index wo) {
  require<ShapeError>(x.rank() == 4 && ho > 0 && wo > 0,
                      "adaptive_avg_pool2d: expected rank 4 and outputs > 0, got ", x, " to ", ho, " x ", wo);
}

/// Input interval of output i when `in` elements are averaged into `out`: [⌊i·in/out⌋, ⌈(i+1)·in/out⌉).
struct AdaptiveRange {
  Index first, last;
  LORU_HOST_DEVICE AdaptiveRange(Index i, Index in, Index out)
      : first{i * in / out}, last{((i + 1) * in + out - 1) / out} {}
  LORU_HOST_DEVICE Index count() const { return last - first; }
};

// ---- norm ----

inline void check_batch(const Shape& x) {
  require<ShapeError>(x.rank() == 4 && x.size() > 0, "batch_norm: expected at least one pixel, got ", x);
}

inline void check_groups(const Shape& x, Index groups) {
  require<ShapeError>(x.rank() == 4, "group_norm: expected rank 4, got ", x);
  require<ShapeError>(groups > 0 && x[1] % groups == 0, "group_norm: ", groups, " groups do not divide ",
                      x[1], " channels");
}

/// The parts that share moments: `images` parts of `rows` rows of C channels in groups.
struct NormShape {
  Index images, rows, channels, groups;

  /// Throws ShapeError if x is not (N, C, H, W) with C channels of γ, or if the moments are not of its shape.
  NormShape(const char* where, const Shape& x, const Shape& gamma, const Shape& moments) {
    require<ShapeError>(x.rank() == 4 && gamma == Shape{x[1]}, where, ": expected rank 4 and ", gamma,
                        " channels, got ", x);
    const bool of_batch = moments.rank() == 1;
    require<ShapeError>(of_batch ? moments[0] == x[1] : moments.rank() == 2 && moments[0] == x[0], where,
                        ": moments of shape ", moments, " do not fit ", x);
    images = of_batch ? 1 : x[0];
    rows = (of_batch ? x[0] : 1) * x[2] * x[3];
    channels = x[1];
    groups = of_batch ? x[1] : moments[1];
  }
  Index offset(Index image) const { return image * rows * channels; }
};

// ---- losses ----

template <class D>
void check_logits(const char* where, const Shape& z, const Tensor<std::int32_t, D>& labels) {
  require<ShapeError>(z.rank() == 2 && z[0] > 0 && labels.size() == z[0], where,
                      ": expected (M, classes) logits and M labels, got ", z, " and ", labels.shape());
}

[[noreturn]] inline void fail_label(const char* where, std::int32_t label, Index row, Index classes) {
  fail<ShapeError>(where, ": label ", label, " of row ", row, " is outside the ", classes, " classes");
}

inline void check_any(const char* where, Index elements) {
  require<ShapeError>(elements > 0, where, ": expected at least one element");
}

// ---- gather ----

/// y (n, C, H, W) of images (N, C, H, W), n samples, n · 3 places or none, normalisation (C, 3).
inline void check_gather(const Shape& y, const Shape& images, Index samples, Index places,
                         const Shape& normalisation) {
  require<ShapeError>(y.rank() == 4 && images.rank() == 4 && y[1] == images[1] && y[2] == images[2] &&
                          y[3] == images[3] && y[0] == samples,
                      "gather_images: expected a batch of ", samples, " of the images ", images, ", got ", y);
  require<ShapeError>(places == 0 || places == 3 * samples,
                      "gather_images: expected three numbers a place, got ", places, " for ", samples,
                      " images");
  require<ShapeError>(normalisation == Shape{y[1], 3}, "gather_images: expected a normalisation (", y[1],
                      ", 3), got ", normalisation);
}

inline void check_gather_labels(const Shape& y, const Shape& samples) {
  require<ShapeError>(y == samples, "gather_labels: expected equal shapes, got ", y, " and ", samples);
}

// ---- lowrank ----

/// y (M, m) of a low-rank layer: x (M, n), W (m, n), A (r, n), B (m, r).
inline void check_lowrank(const char* where, const Shape& x, const Shape& w, const Shape& a, const Shape& b) {
  require<ShapeError>(x.rank() == 2 && w.rank() == 2 && a.rank() == 2 && b.rank() == 2 && x[1] == w[1] &&
                          a[1] == w[1] && b[0] == w[0] && b[1] == a[0],
                      where, ": input ", x, " and factors A ", a, " and B ", b, " do not fit weight ", w);
}

/// Factors of a convolution's weight W (m, c, kh, kw): A (r, c, kh, kw), B (m, r) or (m, r, 1, 1); one group.
template <class T, class D>
void check_lowrank_conv(const char* where, const Tensor<T, D>& w, const Tensor<T, D>& a,
                        const Tensor<T, D>& b, const ConvOptions& o) {
  require<ShapeError>(o.groups == 1, where, ": expected one group, got ", o.groups);
  require<ShapeError>(w.rank() == 4 && a.shape() == Shape({a.dim(0), w.dim(1), w.dim(2), w.dim(3)}) &&
                          b.dim(0) == w.dim(0) && b.size() == w.dim(0) * a.dim(0),
                      where, ": factors A ", a.shape(), " and B ", b.shape(), " do not fit weight ",
                      w.shape());
}

/// Rank of the factors A (r, n) and B (m, r) of a weight of shape W (m, n), a tensor or a variable; any of
/// them may have kernel extents.
template <class W, class T, class D>
Index factor_rank(const char* where, const W& weight, const Tensor<T, D>& a, const Tensor<T, D>& b) {
  const Shape& w = weight.shape();
  const Index m = w[0], r = a.dim(0);
  require<ShapeError>(b.dim(0) == m && b.size() == m * r && a.size() * m == w.size() * r, where,
                      ": factors A ", a.shape(), " and B ", b.shape(), " do not fit weight ", w);
  require<ShapeError>(a.layout() == weight.layout() || layout_free(w), where,
                      ": expected A in the layout of W, ", to_string(weight.layout()), ", got ",
                      to_string(a.layout()));
  return r;
}

}  // namespace loru::inline LORU_ISA::detail
