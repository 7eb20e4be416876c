#pragma once
// Activations and dropout of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = max(x, 0).
template <class T, class D>
Variable<T, D> relu(const Variable<T, D>& x) {
  const Tensor<T, D> y = relu(x.value());
  return {"relu", y, {x}, [x, y](Tensor<T, D> dy) { x.accumulate(relu_backward(y, std::move(dy))); }};
}

/// y = max(a + b, 0), in the layout of a. Both gradients are the same tensor.
template <class T, class D>
Variable<T, D> add_relu(const Variable<T, D>& a, const Variable<T, D>& b) {
  const Tensor<T, D> y = add_relu(a.value(), to_layout(b.value(), a.value().layout()));
  return {"add_relu", y, {a, b}, [a, b, y](Tensor<T, D> dy) {
            const Tensor<T, D> g = relu_backward(y, std::move(dy));
            a.accumulate(g);
            b.accumulate(g);
          }};
}

/// y = x · Φ(x).
template <class T, class D>
Variable<T, D> gelu(const Variable<T, D>& x) {
  return {"gelu", gelu(x.value()), {x}, [x](const Tensor<T, D>& dy) {
            x.accumulate(gelu_backward(x.value(), dy));
          }};
}

/// y = tanh(x).
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> tanh(const Variable<T, D>& x) {
  const Tensor<T, D> y = tanh(x.value());
  return {"tanh", y, {x}, [x, y](Tensor<T, D> dy) { x.accumulate(tanh_backward(y, std::move(dy))); }};
}

/// y = silu(gate) ⊙ up.
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> swiglu(const Variable<T, D>& gate, const Variable<T, D>& up) {
  return {"swiglu", swiglu(gate.value(), up.value()), {gate, up}, [gate, up](const Tensor<T, D>& dy) {
            auto d = swiglu_backward(gate.value(), up.value(), dy);
            gate.accumulate(std::move(d.gate));
            up.accumulate(std::move(d.up));
          }};
}

/// y = x · keep / (1 − p) with the keep mask of the stream (Srivastava et al. 2014).
template <class T, class D>
Variable<T, D> dropout(const Variable<T, D>& x, double p, const rng::Stream& stream) {
  return {"dropout", dropout(x.value(), p, stream), {x}, [x, p, stream](const Tensor<T, D>& dy) {
            x.accumulate(dropout(dy, p, stream));
          }};
}

}  // namespace loru::inline LORU_ISA
