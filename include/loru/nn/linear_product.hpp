#pragma once
// Products of matrices of features with a weight, whatever its form.

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// x·Wᵀ or x·(W + s·B·A)ᵀ with x (M, n).
template <class T, class D>
Variable<T, D> linear(const WeightForm<T, D>& form, const Variable<T, D>& x, Pass& pass) {
  if (!form.a) return loru::linear(x, form.w);
  if (pass.training && form.dropout > 0.0) {
    const auto low = loru::dropout(loru::linear(x, form.a), form.dropout, pass.next_dropout());
    return add(loru::linear(x, form.w),
               scale(loru::linear(low, form.b), T(static_cast<Real<T>>(form.scale))));
  }
  const Shape w = form.w.shape();
  const LowRankProblem problem{.rows = x.shape()[0],
                               .in = w[1],
                               .out = w[0],
                               .rank = form.a.shape()[0],
                               .input_gradient = x.requires_grad(),
                               .single = std::same_as<T, float>};
  return lowrank_linear(x, form.w, form.a, form.b, form.scale, (*form.plan)(problem));
}

}  // namespace loru::inline LORU_ISA::nn
