#pragma once
// Normalisations of variables.

#include <loru/autograd/variable.hpp>

namespace loru {

/// y = γ·(x − μ) / √(σ² + ε) + β per channel of x (N, C, H, W). With `fixed` moments they are constants
/// (evaluation); otherwise they must be batch_moments(x) and are differentiated through (training).
template <class T, class D>
Variable<T, D> batch_norm(const Variable<T, D>& x, const Moments<T, D>& moments, const Variable<T, D>& gamma,
                          const Variable<T, D>& beta, bool fixed) {
  return {"batch_norm",
          batch_norm(x.value(), moments, gamma.value(), beta.value()),
          {x, gamma, beta},
          [x, moments, gamma, beta, fixed](const Tensor<T, D>& dy) {
            const auto grads = batch_norm_backward(dy, x.value(), moments, gamma.value(), fixed);
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
          }};
}

/// The same with moments over groups of channels of one image.
template <class T, class D>
Variable<T, D> group_norm(const Variable<T, D>& x, Index groups, const Variable<T, D>& gamma,
                          const Variable<T, D>& beta, double epsilon) {
  const Moments<T, D> moments = group_moments(x.value(), groups, epsilon);
  return {"group_norm",
          group_norm(x.value(), moments, gamma.value(), beta.value()),
          {x, gamma, beta},
          [x, moments, gamma, beta](const Tensor<T, D>& dy) {
            const auto grads = group_norm_backward(dy, x.value(), moments, gamma.value());
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
          }};
}

}  // namespace loru
