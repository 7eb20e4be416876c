#pragma once
// Biases of variables.

#include <loru/autograd/functions/epilogue.hpp>
#include <loru/autograd/functions/matmul.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

/// A tensor for the result of an op on x: the value of x itself if x is a temporary whose buffer nothing else
/// shares, otherwise a copy. Images are channels-last.
template <class T, class D>
Tensor<T, D> writable(const Variable<T, D>& x) {
  Tensor<T, D> y = x.exclusive() ? x.value() : clone(x.value());
  return y.rank() == 4 ? to_layout(y, Layout::channels_last) : y;
}

}  // namespace detail

/// z = x + bias, x (M, n) or (N, n, H, W), bias (n), and the epilogue of z in the same pass. In place of a
/// temporary x, if nothing else shares its buffer.
template <class T, class D>
Variable<T, D> add_bias(Variable<T, D> x, const Variable<T, D>& bias,
                        const Epilogue<Variable<T, D>>& after = {}) {
  const Tensor<T, D> y = detail::writable(x);
  const Epilogue<Tensor<T, D>> last = detail::values(after);
  Tensor<T, D> rows = detail::feature_rows(y);
  add_bias(rows, bias.value(), {last.relu, detail::feature_rows(last.residual)});
  const Variable<T, D> residual = after.residual;
  const Tensor<T, D> kept = after.relu ? y : Tensor<T, D>();
  return {"add_bias", y, {x, bias, residual}, [x, bias, residual, kept](Tensor<T, D> dy) {
            if (kept) {
              Tensor<T, D> g = detail::feature_rows(dy);
              dy = {};  // so that g owns its buffer
              const auto grads = add_bias_backward(detail::feature_rows(kept), std::move(g));
              dy = grads.dx.reinterpret(kept.shape(), kept.layout());
              bias.accumulate(grads.dbias);
            } else if (bias.requires_grad()) {
              bias.accumulate(add_bias_backward({}, detail::feature_rows(dy)).dbias);
            }
            x.accumulate(dy);
            residual.accumulate(dy);
          }};
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_BIAS(TEMPLATE, T) \
  TEMPLATE Variable<T> add_bias<T, Cpu>(Variable<T>, const Variable<T>&, const Epilogue<Variable<T>>&);
#ifdef LORU_COMPILED
LORU_COMPILED_BIAS(extern template, float)
LORU_COMPILED_BIAS(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA
