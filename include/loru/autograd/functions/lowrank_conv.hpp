#pragma once
// Convolutions whose weight is W + s·B·A, in the same three graphs.

#include <loru/autograd/functions/lowrank.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

/// The products of a convolution.
struct ConvProducts {
  static constexpr const char* name = "lowrank_conv2d";
  ConvOptions o;

  template <class T, class D>
  Tensor<T, D> forward(const Tensor<T, D>& x, const Tensor<T, D>& w) const {
    return conv2d(x, w, o);
  }
  template <class T, class D>
  Tensor<T, D> input_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& w, const Shape& x) const {
    return conv2d_backward_input(dy, w, x, o);
  }
  template <class T, class D>
  Tensor<T, D> weight_gradient(const Tensor<T, D>& dy, const Tensor<T, D>& x, const Shape& w) const {
    return conv2d_backward_weight(dy, x, w, o);
  }
  template <class T, class D>
  LowrankFeatures<T, D> factored(const Tensor<T, D>& x, const Variable<T, D>& w, const Tensor<T, D>& a,
                                 const Tensor<T, D>& b, double s) const {
    return lowrank_conv2d_forward(x, w.value(), a, b, s, o);
  }
  template <class T, class D>
  LowrankGradients<T, D> factored_gradients(const Tensor<T, D>& dy, const Tensor<T, D>& x,
                                            const Variable<T, D>& w, const Tensor<T, D>& a,
                                            const Tensor<T, D>& b, const Tensor<T, D>& low, double s,
                                            LowrankWanted wanted) const {
    return lowrank_conv2d_backward(dy, x, w.value(), a, b, low, s, o, wanted);
  }
};

}  // namespace detail

/// y = (W + s·B·A) ⋆ x, with the same gradients: S = A ⋆ x, and B acts on the channels of S.
template <class T, class D>
Variable<T, D> lowrank_conv2d(const Variable<T, D>& x, const Variable<T, D>& w, const Variable<T, D>& a,
                              const Variable<T, D>& b, double s, const ConvOptions& o, Plan plan) {
  require<ShapeError>(o.groups == 1, "lowrank_conv2d: expected one group, got ", o.groups);
  return detail::lowrank_layer(x, w, a, b, s, plan, detail::ConvProducts{o});
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LOWRANK_CONV(TEMPLATE, T)                                                           \
  TEMPLATE Variable<T> lowrank_conv2d<T, Cpu>(const Variable<T>&, const Variable<T>&, const Variable<T>&, \
                                              const Variable<T>&, double, const ConvOptions&, Plan);
#ifdef LORU_COMPILED
LORU_COMPILED_LOWRANK_CONV(extern template, float)
LORU_COMPILED_LOWRANK_CONV(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA
