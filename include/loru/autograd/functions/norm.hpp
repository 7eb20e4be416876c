#pragma once
// Normalisations of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = γ·(x − μ) / √(σ² + ε) + β per channel of x (N, C, H, W). With `fixed` moments they are constants
/// (evaluation); otherwise they must be batch_moments(x) and are differentiated through (training).
template <class T, class D>
Variable<T, D> batch_norm(const Variable<T, D>& x, const Moments<T, D>& moments, const Variable<T, D>& gamma,
                          const Variable<T, D>& beta, bool fixed) {
  return {"batch_norm",
          batch_norm(x.value(), moments, gamma.value(), beta.value()),
          {x, gamma, beta},
          [x, moments, gamma, beta, fixed](Tensor<T, D> dy) {
            const auto grads = batch_norm_backward(std::move(dy), x.value(), moments, gamma.value(), fixed);
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
          }};
}

/// y = max(batch_norm(x) + residual, 0) in one pass over the data; the residual (N, C, H, W) may be empty.
template <class T, class D>
Variable<T, D> batch_norm_relu(const Variable<T, D>& x, const Moments<T, D>& moments,
                               const Variable<T, D>& gamma, const Variable<T, D>& beta,
                               const Variable<T, D>& residual, bool fixed) {
  const Tensor<T, D> summand = residual ? residual.value() : Tensor<T, D>();
  const Tensor<T, D> y = batch_norm_relu(x.value(), moments, gamma.value(), beta.value(), summand);
  const Tensor<T, D> kept = residual ? y : Tensor<T, D>();
  return {"batch_norm_relu",
          y,
          {x, gamma, beta, residual},
          [x, moments, gamma, beta, residual, kept, fixed](Tensor<T, D> dy) {
            const auto grads = batch_norm_relu_backward(std::move(dy), kept, x.value(), moments,
                                                        gamma.value(), beta.value(), fixed);
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
            residual.accumulate(grads.residual);
          }};
}

/// The same as batch_norm with moments over groups of channels of one image.
template <class T, class D>
Variable<T, D> group_norm(const Variable<T, D>& x, Index groups, const Variable<T, D>& gamma,
                          const Variable<T, D>& beta, double epsilon) {
  const Moments<T, D> moments = group_moments(x.value(), groups, epsilon);
  return {"group_norm",
          group_norm(x.value(), moments, gamma.value(), beta.value()),
          {x, gamma, beta},
          [x, moments, gamma, beta](Tensor<T, D> dy) {
            const auto grads = group_norm_backward(std::move(dy), x.value(), moments, gamma.value());
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
          }};
}

/// y = max(group_norm(x) + residual, 0) in one pass over the data; the residual (N, C, H, W) may be empty.
template <class T, class D>
Variable<T, D> group_norm_relu(const Variable<T, D>& x, Index groups, const Variable<T, D>& gamma,
                               const Variable<T, D>& beta, const Variable<T, D>& residual, double epsilon) {
  const Moments<T, D> moments = group_moments(x.value(), groups, epsilon);
  const Tensor<T, D> summand = residual ? residual.value() : Tensor<T, D>();
  const Tensor<T, D> y = group_norm_relu(x.value(), moments, gamma.value(), beta.value(), summand);
  const Tensor<T, D> kept = residual ? y : Tensor<T, D>();
  return {"group_norm_relu",
          y,
          {x, gamma, beta, residual},
          [x, moments, gamma, beta, residual, kept](Tensor<T, D> dy) {
            const auto grads = group_norm_relu_backward(std::move(dy), kept, x.value(), moments,
                                                        gamma.value(), beta.value());
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
            residual.accumulate(grads.residual);
          }};
}

}  // namespace loru
