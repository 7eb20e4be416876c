#pragma once
// Reshapes of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// The same elements in row-major order under another shape.
template <class T, class D>
Variable<T, D> reshape(const Variable<T, D>& x, const Shape& shape) {
  const Tensor<T, D> row_major = to_layout(x.value(), Layout::row_major);
  return {"reshape", row_major.reshape(shape), {x}, [x](const Tensor<T, D>& dy) {
            x.accumulate(dy.reshape(x.shape()));
          }};
}

/// The same memory under another shape and layout.
template <class T, class D>
Variable<T, D> reinterpret(const Variable<T, D>& x, const Shape& shape, Layout layout) {
  return {"reinterpret", x.value().reinterpret(shape, layout), {x}, [x, layout](const Tensor<T, D>& dy) {
            x.accumulate(to_layout(dy, layout).reinterpret(x.shape(), x.value().layout()));
          }};
}

/// (N, C, H, W) to (N, C·H·W), in row-major order whatever the layout.
template <class T, class D>
Variable<T, D> flatten(const Variable<T, D>& x) {
  const Index n = x.shape().rank() > 0 ? x.shape()[0] : 1;
  return reshape(x, {n, n > 0 ? x.value().size() / n : 0});
}

}  // namespace loru::inline LORU_ISA
