#pragma once
// Matrix products of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = a · b with a (M, k), b (k, n).
template <class T, class D>
Variable<T, D> matmul(const Variable<T, D>& a, const Variable<T, D>& b) {
  return {"matmul", matmul(a.value(), b.value(), {}), {a, b}, [a, b](const Tensor<T, D>& dy) {
            if (a.requires_grad()) a.accumulate(matmul(dy, b.value(), {.b = Op::transpose}));
            if (b.requires_grad()) b.accumulate(matmul(a.value(), dy, {.a = Op::transpose}));
          }};
}

/// y = x · wᵀ with x (M, n), w (m, n), which may be kept in blocks.
template <class T, class D>
Variable<T, D> linear(const Variable<T, D>& x, const Variable<T, D>& w) {
  const auto times_w = [w](const Tensor<T, D>& a, Op op) {
    return with_matrix(w, [&](const auto& matrix) { return matmul(a, matrix, {.b = op}); });
  };
  return {"linear", times_w(x.value(), Op::transpose), {x, w}, [x, w, times_w](const Tensor<T, D>& dy) {
            if (x.requires_grad()) x.accumulate(times_w(dy, Op::none));
            if (w.requires_grad()) w.accumulate(matmul(dy, x.value(), {.a = Op::transpose}));
          }};
}

}  // namespace loru::inline LORU_ISA
