#pragma once
// Low-rank convolutions made of the other ops, for devices without kernels of their own for them.

#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA::detail {

/// Features (M, r) in the form of dy: (M, m) or (N, m, Ho, Wo) channels-last.
template <class T, class D>
Tensor<T, D> features_like(const Tensor<T, D>& rows, const Shape& dy) {
  if (dy.rank() != 4) return rows;
  return rows.reinterpret({dy[0], rows.dim(1), dy[2], dy[3]}, Layout::channels_last);
}

/// y += rows · op(b) in place, on the features of y: rows (M, k), y (N, m, Ho, Wo).
template <class T, class D>
void add_product(Tensor<T, D>& y, const Tensor<T, D>& rows, const Tensor<T, D>& b, Op op_b) {
  Tensor<T, D> matrix = feature_rows(y);
  matmul_into(matrix, Real<T>(1), rows, b, {.b = op_b}, Real<T>(1));
  y = features_like(matrix, y.shape());
}

/// lowrank_conv2d_forward as two convolutions and a product.
template <class T, class D>
LowrankFeatures<T, D> unfused_conv2d(const Tensor<T, D>& x, const Tensor<T, D>& w, const Tensor<T, D>& a,
                                     const Tensor<T, D>& b, double s, const ConvOptions& o) {
  const Tensor<T, D> low = feature_rows(conv2d(x, a, o));
  LowrankFeatures<T, D> f{to_layout(conv2d(x, w, o), Layout::channels_last),
                          s == 1.0 ? low : scale(low, T(static_cast<Real<T>>(s)))};
  add_product(f.y, f.low, b.as_matrix(w.dim(0)), Op::transpose);
  return f;
}

/// lowrank_conv2d_backward as products and convolutions.
template <class T, class D>
LowrankGradients<T, D> unfused_conv2d_backward(const Tensor<T, D>& dy, const Tensor<T, D>& x,
                                               const Tensor<T, D>& w, const Tensor<T, D>& a,
                                               const Tensor<T, D>& b, const Tensor<T, D>& low, double s,
                                               const ConvOptions& o, LowrankWanted wanted) {
  const Tensor<T, D> rows = feature_rows(dy);
  LowrankGradients<T, D> g;
  if (wanted.db) g.db = matmul(rows, low, {.a = Op::transpose}).reshape(b.shape());
  if (!wanted.da && !wanted.dx) return g;
  Tensor<T, D> dlow(low.shape());
  matmul_into(dlow, static_cast<Real<T>>(s), rows, b.as_matrix(w.dim(0)), {}, Real<T>(0));
  const Tensor<T, D> image = features_like(dlow, dy.shape());
  if (wanted.da) g.da = conv2d_backward_weight(image, x, a.shape(), o);
  if (!wanted.dx) return g;
  g.dx = conv2d_backward_input(dy, w, x.shape(), o);
  if (a.dim(2) * a.dim(3) == 1 && o.stride == 1 && o.padding == 0)
    add_product(g.dx, dlow, a.as_matrix(a.dim(0)), Op::none);
  else
    add_scaled(g.dx, T(1), to_layout(conv2d_backward_input(image, a, x.shape(), o), g.dx.layout()));
  return g;
}

}  // namespace loru::inline LORU_ISA::detail
