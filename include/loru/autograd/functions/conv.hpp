#pragma once
// Convolutions of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = w ⋆ x: x (N, Cin, H, W), w (Cout, Cin / groups, kh, kw), y (N, Cout, Ho, Wo).
template <class T, class D>
Variable<T, D> conv2d(const Variable<T, D>& x, const Variable<T, D>& w, const ConvOptions& o) {
  return {"conv2d", conv2d(x.value(), w.value(), o), {x, w}, [x, w, o](const Tensor<T, D>& dy) {
            if (x.requires_grad()) x.accumulate(conv2d_backward_input(dy, w.value(), x.shape(), o));
            if (w.requires_grad()) w.accumulate(conv2d_backward_weight(dy, x.value(), w.shape(), o));
          }};
}

}  // namespace loru::inline LORU_ISA
