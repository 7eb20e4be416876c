#pragma once
// Sums and products of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = a + b, in the layout of a.
template <class T, class D>
Variable<T, D> add(const Variable<T, D>& a, const Variable<T, D>& b) {
  const Tensor<T, D> right = to_layout(b.value(), a.value().layout());
  return {"add", add(a.value(), right), {a, b}, [a, b](const Tensor<T, D>& dy) {
            a.accumulate(dy);
            b.accumulate(dy);
          }};
}

/// y = a ⊙ b.
template <class T, class D>
Variable<T, D> multiply(const Variable<T, D>& a, const Variable<T, D>& b) {
  return {"multiply", multiply(a.value(), b.value()), {a, b}, [a, b](const Tensor<T, D>& dy) {
            if (a.requires_grad()) a.accumulate(multiply(dy, b.value()));
            if (b.requires_grad()) b.accumulate(multiply(dy, a.value()));
          }};
}

/// y = c · x.
template <class T, class D>
Variable<T, D> scale(const Variable<T, D>& x, std::type_identity_t<T> c) {
  return {"scale", scale(x.value(), c), {x}, [x, c](const Tensor<T, D>& dy) { x.accumulate(scale(dy, c)); }};
}

/// y = Σ x, shape ().
template <class T, class D>
Variable<T, D> sum(const Variable<T, D>& x) {
  return {"sum", sum(x.value()), {x}, [x](const Tensor<T, D>& dy) {
            Tensor<T, D> ones(Shape{x.value().size(), 1});
            fill(ones, T(1));
            const Tensor<T, D> spread = matmul(ones, dy.reshape({1, 1}), {});
            x.accumulate(spread.reinterpret(x.shape(), x.value().layout()));
          }};
}

}  // namespace loru::inline LORU_ISA
