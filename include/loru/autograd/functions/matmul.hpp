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
}  // namespace loru
