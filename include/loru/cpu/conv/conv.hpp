#pragma once
// 2-d convolution on host tensors.

#include <loru/core/compiled.hpp>
#include <loru/cpu/dual.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// y[n, m, ·] = Σ_c w[m, c, ·] ⋆ x[n, c, ·] (cross-correlation): x (N, Cin, H, W), w (Cout, Cin / groups, kh,
/// kw), y (N, Cout, Ho, Wo), channels-last. Throws ShapeError.
template <std::floating_point T>
Tensor<T> conv2d(const Tensor<T>& x_any, const Tensor<T>& w_any, const ConvOptions& o);

/// Gradient with respect to the input of shape x_shape: the transpose of conv2d as a map of x, applied to
/// dy (N, Cout, Ho, Wo). At stride 1 it is itself a convolution, with the reversed kernel.
template <std::floating_point T>
Tensor<T> conv2d_backward_input(const Tensor<T>& dy_any, const Tensor<T>& w_any, const Shape& x_shape,
                                const ConvOptions& o);

/// Gradient with respect to the weight of shape w_shape: dyᵀ times the windows of x.
template <std::floating_point T>
Tensor<T> conv2d_backward_weight(const Tensor<T>& dy_any, const Tensor<T>& x_any, const Shape& w_shape,
                                 const ConvOptions& o);

template <std::floating_point T>
Tensor<Dual<T>> conv2d(const Tensor<Dual<T>>& x, const Tensor<Dual<T>>& w, const ConvOptions& o) {
  return cpu::bilinear(x, w, [&](const Tensor<T>& a, const Tensor<T>& b) { return conv2d(a, b, o); });
}

template <std::floating_point T>
Tensor<Dual<T>> conv2d_backward_input(const Tensor<Dual<T>>& dy, const Tensor<Dual<T>>& w,
                                      const Shape& x_shape, const ConvOptions& o) {
  return cpu::bilinear(
      dy, w, [&](const Tensor<T>& a, const Tensor<T>& b) { return conv2d_backward_input(a, b, x_shape, o); });
}

template <std::floating_point T>
Tensor<Dual<T>> conv2d_backward_weight(const Tensor<Dual<T>>& dy, const Tensor<Dual<T>>& x,
                                       const Shape& w_shape, const ConvOptions& o) {
  return cpu::bilinear(dy, x, [&](const Tensor<T>& a, const Tensor<T>& b) {
    return conv2d_backward_weight(a, b, w_shape, o);
  });
}

}  // namespace loru::inline LORU_ISA

#ifndef LORU_COMPILED
#include <loru/cpu/conv/conv_bodies.hpp>
#endif
