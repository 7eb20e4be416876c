#pragma once
// Convolutions with a weight, whatever its form.

#include <loru/autograd/functions/lowrank_conv.hpp>
#include <loru/autograd/functions/shape.hpp>
#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// What the plan of a convolution of x with W + s·B·A depends on.
template <class T, class D>
LowRankProblem conv2d_problem(const WeightForm<T, D>& form, const Variable<T, D>& x, const ConvOptions& o) {
  const Shape w = form.w.shape(), y = conv_shape(x.shape(), w, o);
  return {.rows = y[0] * y[2] * y[3],
          .in = w[1] * w[2] * w[3],
          .out = w[0],
          .rank = form.a.shape()[0],
          .input_gradient = x.requires_grad(),
          .convolution = true,
          .kernel = w[2] == w[3] ? w[2] : 0,
          .stride = o.stride,
          .padding = o.padding,
          .dilation = o.dilation,
          .height = x.shape()[2],
          .width = x.shape()[3],
          .single = std::same_as<T, float>};
}

/// W ⋆ x or (W + s·B·A) ⋆ x with x (N, Cin, H, W).
template <class T, class D>
Variable<T, D> conv2d(const WeightForm<T, D>& form, const Variable<T, D>& x, const ConvOptions& o,
                      Pass& pass) {
  if (!form.a) return loru::conv2d(x, form.w, o);
  if (pass.training && form.dropout > 0.0) {
    const auto low = loru::dropout(loru::conv2d(x, form.a, o), form.dropout, pass.next_dropout());
    const auto up = reshape(form.b, {form.w.shape()[0], form.a.shape()[0], 1, 1});
    return add(loru::conv2d(x, form.w, o),
               scale(loru::conv2d(low, up, ConvOptions{}), T(static_cast<Real<T>>(form.scale))));
  }
  const Plan plan = (*form.plan)(conv2d_problem(form, x, o));
  return lowrank_conv2d(x, form.w, form.a, form.b, form.scale, o, plan);
}

}  // namespace loru::inline LORU_ISA::nn
