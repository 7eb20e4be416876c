#pragma once
// Layers whose weight is W + s·B·A, in the three graphs of docs/architecture.md (low-rank arithmetic).
//
// W (m, n) is a constant unless it requires a gradient; A (r, n) and B (m, r) are trained. For a convolution n runs
// over the kernel window, A keeps the window, stride, padding and dilation, and B is a 1×1 convolution.

#include <loru/autograd/functions/arithmetic.hpp>
#include <loru/autograd/functions/conv.hpp>
#include <loru/autograd/functions/matmul.hpp>
#include <loru/autograd/functions/shape.hpp>

namespace loru {

/// W_eff = W + s·B·A as a variable: dW = dW_eff, dB = s·dW_eff·Aᵀ, dA = s·Bᵀ·dW_eff.
template <class T, class D>
Variable<T, D> lowrank_compose(const Variable<T, D>& w, const Variable<T, D>& a, const Variable<T, D>& b,
                               double s) {
  return {"lowrank_compose",
          lowrank_compose(w.value(), a.value(), b.value(), s),
          {w, a, b},
          [w, a, b, s](const Tensor<T, D>& dw) {
            const Index m = w.shape()[0], r = a.shape()[0];
            const auto alpha = static_cast<Real<T>>(s);
            const Tensor<T, D> d = to_layout(dw, w.value().layout()).as_matrix(m);
            w.accumulate(dw);
            if (b.requires_grad()) {
              Tensor<T, D> db(Shape{m, r});
              matmul_into(db, alpha, d, a.value().as_matrix(r), {.b = Op::transpose}, Real<T>(0));
              b.accumulate(db.reshape(b.shape()));
            }
            if (a.requires_grad()) {
              Tensor<T, D> da(Shape{r, d.dim(1)});
              matmul_into(da, alpha, b.value().as_matrix(m), d, {.a = Op::transpose}, Real<T>(0));
              a.accumulate(da.reinterpret(a.shape(), a.value().layout()));
            }
          }};
}

/// y = x·(W + s·B·A)ᵀ with x (M, n). Gradients, with S = x·Aᵀ and dS = s·dy·B:
/// dx = dy·W_eff (composed) or dy·W + dS·A (factored), dB = s·dyᵀ·S, dA = dSᵀ·x.
template <class T, class D>
Variable<T, D> lowrank_linear(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, Plan plan) {
  const auto alpha = static_cast<Real<T>>(s);
  if (plan == Plan::composed_full || (plan == Plan::composed && w.requires_grad()))
    return linear(x, lowrank_compose(w, a, b, s));
  if (plan == Plan::factored) {
    const Variable<T, D> low = linear(linear(x, a), b);
    return add(linear(x, w), scale(low, T(alpha)));
  }
  const Tensor<T, D> composed = lowrank_compose(w.value(), a.value(), b.value(), s);
  return {"lowrank_linear",
          matmul(x.value(), composed, {.b = Op::transpose}),
          {x, a, b},
          [x, a, b, composed, alpha](const Tensor<T, D>& dy) {
            const Index r = a.shape()[0];
            if (x.requires_grad()) x.accumulate(matmul(dy, composed, {}));
            if (b.requires_grad()) {
              const Tensor<T, D> low = matmul(x.value(), a.value(), {.b = Op::transpose});
              Tensor<T, D> db(b.shape());
              matmul_into(db, alpha, dy, low, {.a = Op::transpose}, Real<T>(0));
              b.accumulate(db);
            }
            if (a.requires_grad()) {
              Tensor<T, D> dlow(Shape{dy.dim(0), r});
              matmul_into(dlow, alpha, dy, b.value(), {}, Real<T>(0));
              a.accumulate(matmul(dlow, x.value(), {.a = Op::transpose}));
            }
          }};
}

/// y = (W + s·B·A) ⋆ x, with the same gradients: S = A ⋆ x, and B acts on the channels of S.
template <class T, class D>
Variable<T, D> lowrank_conv2d(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, const ConvOptions& o, Plan plan) {
  require<ShapeError>(o.groups == 1, "lowrank_conv2d: expected one group, got ", o.groups);
  const auto alpha = static_cast<Real<T>>(s);
  const Index m = w.shape()[0], r = a.shape()[0];
  if (plan == Plan::composed_full || (plan == Plan::composed && w.requires_grad()))
    return conv2d(x, lowrank_compose(w, a, b, s), o);
  if (plan == Plan::factored) {
    const Variable<T, D> up = reshape(b, {m, r, 1, 1});
    return add(conv2d(x, w, o), scale(conv2d(conv2d(x, a, o), up, {}), T(alpha)));
  }
  const Tensor<T, D> composed = lowrank_compose(w.value(), a.value(), b.value(), s);
  return {"lowrank_conv2d",
          conv2d(x.value(), composed, o),
          {x, a, b},
          [x, a, b, composed, alpha, o, m, r](const Tensor<T, D>& dy_any) {
            const Tensor<T, D> dy = to_layout(dy_any, Layout::channels_last);
            const Tensor<T, D> rows = detail::feature_rows(dy);  // (N·Ho·Wo, m)
            if (x.requires_grad()) x.accumulate(conv2d_backward_input(dy, composed, x.shape(), o));
            if (b.requires_grad()) {
              const Tensor<T, D> low = detail::feature_rows(conv2d(x.value(), a.value(), o));
              Tensor<T, D> db(Shape{m, r});
              matmul_into(db, alpha, rows, low, {.a = Op::transpose}, Real<T>(0));
              b.accumulate(db.reshape(b.shape()));
            }
            if (a.requires_grad()) {
              Tensor<T, D> dlow(Shape{rows.dim(0), r});
              matmul_into(dlow, alpha, rows, b.value().as_matrix(m), {}, Real<T>(0));
              const Shape low_shape{dy.dim(0), r, dy.dim(2), dy.dim(3)};
              a.accumulate(conv2d_backward_weight(dlow.reinterpret(low_shape, Layout::channels_last),
                                                  x.value(), a.shape(), o));
            }
          }};
}

}  // namespace loru
