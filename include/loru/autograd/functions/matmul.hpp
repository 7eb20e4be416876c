#pragma once
// Matrix products of variables.

#include <loru/autograd/variable.hpp>

namespace loru {

/// y = a · b with a (M, k), b (k, n).
template <class T, class D>
Variable<T, D> matmul(const Variable<T, D>& a, const Variable<T, D>& b) {
  return {"matmul", matmul(a.value(), b.value(), {}), {a, b}, [a, b](const Tensor<T, D>& dy) {
            if (a.requires_grad()) a.accumulate(matmul(dy, b.value(), {.b = Op::transpose}));
            if (b.requires_grad()) b.accumulate(matmul(a.value(), dy, {.a = Op::transpose}));
          }};
}

/// y = x · wᵀ with x (M, n), w (m, n).
template <class T, class D>
Variable<T, D> linear(const Variable<T, D>& x, const Variable<T, D>& w) {
  return {
      "linear", matmul(x.value(), w.value(), {.b = Op::transpose}), {x, w}, [x, w](const Tensor<T, D>& dy) {
        if (x.requires_grad()) x.accumulate(matmul(dy, w.value(), {}));
        if (w.requires_grad()) w.accumulate(matmul(dy, x.value(), {.a = Op::transpose}));
      }};
}

namespace detail {

/// Rows of features: (M, n) as it is, channels-last (N, C, H, W) as (N·H·W, C).
template <class T, class D>
Tensor<T, D> feature_rows(const Tensor<T, D>& x) {
  if (x.rank() != 4) return x;
  return to_layout(x, Layout::channels_last).as_matrix(x.dim(0) * x.dim(2) * x.dim(3));
}

}  // namespace detail

namespace detail {

/// Adds the bias to y, the value of x or a copy of it.
template <class T, class D>
Variable<T, D> add_bias(const Variable<T, D>& x, Tensor<T, D> y, const Variable<T, D>& bias) {
  if (y.rank() == 4) y = to_layout(y, Layout::channels_last);
  Tensor<T, D> rows = feature_rows(y);
  add_bias(rows, bias.value());
  return {"add_bias", y, {x, bias}, [x, bias](const Tensor<T, D>& dy) {
            x.accumulate(dy);
            if (bias.requires_grad()) bias.accumulate(column_sum(feature_rows(dy)));
          }};
}

}  // namespace detail

/// y = x + bias: x (M, n) or (N, n, H, W), bias (n).
template <class T, class D>
Variable<T, D> add_bias(const Variable<T, D>& x, const Variable<T, D>& bias) {
  return detail::add_bias(x, clone(x.value()), bias);
}

/// The same in place of a temporary x, if nothing else shares its buffer.
template <class T, class D>
Variable<T, D> add_bias(Variable<T, D>&& x, const Variable<T, D>& bias) {
  return detail::add_bias(x, x.exclusive() ? x.value() : clone(x.value()), bias);
}

}  // namespace loru
