#pragma once
// Pooling of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// Maximum of every window of x (N, C, H, W).
template <class T, class D>
Variable<T, D> max_pool2d(const Variable<T, D>& x, const PoolOptions& o) {
  const MaxPool<T, D> y = max_pool2d(x.value(), o);
  return {"max_pool2d", y.output, {x}, [x, winners = y.winners](const Tensor<T, D>& dy) {
            x.accumulate(max_pool2d_backward(dy, winners, x.shape()));
          }};
}

/// Mean over windows that tile the image into ho × wo outputs.
template <class T, class D>
Variable<T, D> adaptive_avg_pool2d(const Variable<T, D>& x, Index ho, Index wo) {
  return {"adaptive_avg_pool2d", adaptive_avg_pool2d(x.value(), ho, wo), {x}, [x](const Tensor<T, D>& dy) {
            x.accumulate(adaptive_avg_pool2d_backward(dy, x.shape()));
          }};
}

}  // namespace loru::inline LORU_ISA
