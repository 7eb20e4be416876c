#pragma once
// Biases of variables, alone or with the ReLU that follows.

#include <loru/autograd/functions/matmul.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

/// A tensor to write the result of an op on x to: x's own value, channels-last if an image, where x is a temporary
/// that nothing else shares, else a copy.
template <class T, class D>
Tensor<T, D> writable(const Variable<T, D>& x) {
  Tensor<T, D> y = x.exclusive() ? x.value() : clone(x.value());
  return y.rank() == 4 ? to_layout(y, Layout::channels_last) : y;
}

}  // namespace detail

/// y = x + bias: x (M, n) or (N, n, H, W), bias (n). In place of a temporary x, if nothing else shares its buffer.
template <class T, class D>
Variable<T, D> add_bias(Variable<T, D> x, const Variable<T, D>& bias) {
  const Tensor<T, D> y = detail::writable(x);
  Tensor<T, D> rows = detail::feature_rows(y);
  add_bias(rows, bias.value());
  return {"add_bias", y, {x, bias}, [x, bias](const Tensor<T, D>& dy) {
            x.accumulate(dy);
            if (bias.requires_grad()) bias.accumulate(column_sum(detail::feature_rows(dy)));
          }};
}

/// y = max(x + bias, 0), likewise.
template <class T, class D>
Variable<T, D> add_bias_relu(Variable<T, D> x, const Variable<T, D>& bias) {
  const Tensor<T, D> y = detail::writable(x);
  Tensor<T, D> rows = detail::feature_rows(y);
  add_bias_relu(rows, bias.value());
  return {"add_bias_relu", y, {x, bias}, [x, bias, y](Tensor<T, D> dy) {
            Tensor<T, D> g = detail::feature_rows(dy);
            dy = {};  // so that g owns its buffer
            const auto grads = add_bias_relu_backward(detail::feature_rows(y), std::move(g));
            x.accumulate(grads.dx.reinterpret(y.shape(), y.layout()));
            bias.accumulate(grads.dbias);
          }};
}

}  // namespace loru
