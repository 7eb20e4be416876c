#pragma once
// Convolutions whose weight is W + s·B·A, in the factored form, on host tensors.

#include <loru/cpu/conv/conv.hpp>
#include <loru/cpu/lowrank.hpp>
#include <loru/ops/unfused.hpp>

namespace loru::inline LORU_ISA {

/// y = W ⋆ x + B·low, channels-last, with low = s·A ⋆ x as rows: x (N, Cin, H, W), W (Cout, Cin, kh, kw), A
/// (r, Cin, kh, kw), B (Cout, r) or (Cout, r, 1, 1), low (N·Ho·Wo, r). Throws ShapeError.
template <Scalar T>
LowrankFeatures<T> lowrank_conv2d_forward(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>& a,
                                          const Tensor<T>& b, double s, const ConvOptions& o) {
  detail::check_lowrank_conv("lowrank_conv2d_forward", w, a, b, o);
  return detail::unfused_conv2d(x, w, a, b, s, o);
}

/// dB = dyᵀ·low, dA = dSᵀ·windows(x) and dx, the transpose of W + s·B·A on dy, with dS = s·dy·B; `low` as
/// lowrank_conv2d_forward gave it.
template <Scalar T>
LowrankGradients<T> lowrank_conv2d_backward(const Tensor<T>& dy, const Tensor<T>& x, const Tensor<T>& w,
                                            const Tensor<T>& a, const Tensor<T>& b, const Tensor<T>& low,
                                            double s, const ConvOptions& o, LowrankWanted wanted) {
  detail::check_lowrank_conv("lowrank_conv2d_backward", w, a, b, o);
  return detail::unfused_conv2d_backward(dy, x, w, a, b, low, s, o, wanted);
}

}  // namespace loru::inline LORU_ISA
