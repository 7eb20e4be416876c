#pragma once
// Normalisations of variables.

#include <loru/autograd/functions/epilogue.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

/// The node of a normalisation with the result y.
template <class T, class D>
Variable<T, D> normalised(const Tensor<T, D>& y, const Variable<T, D>& x, const Moments<T, D>& moments,
                          const Variable<T, D>& gamma, const Variable<T, D>& beta, bool fixed,
                          const Epilogue<Variable<T, D>>& after) {
  const Variable<T, D> residual = after.residual;
  const Gate gate = !after.relu ? Gate::open : residual ? Gate::output : Gate::input;
  const Tensor<T, D> kept = gate == Gate::output ? y : Tensor<T, D>();
  return {"normalise",
          y,
          {x, gamma, beta, residual},
          [x, moments, gamma, beta, residual, kept, gate, fixed](Tensor<T, D> dy) {
            if (gate == Gate::open) residual.accumulate(dy);
            const auto grads = normalise_backward(std::move(dy), kept, x.value(), moments, gamma.value(),
                                                  beta.value(), gate, fixed);
            x.accumulate(grads.dx);
            gamma.accumulate(grads.dgamma);
            beta.accumulate(grads.dbeta);
            if (gate == Gate::output) residual.accumulate(grads.residual);
          }};
}

}  // namespace detail

/// z = γ·(x − μ)·ρ + β, x (N, C, H, W), and the epilogue of z in the same pass. The moments are
/// batch_moments(x) or group_moments(x), and are differentiated through (training), or `fixed` ones that are
/// constants (evaluation).
template <class T, class D>
Variable<T, D> normalise(const Variable<T, D>& x, const Moments<T, D>& moments, const Variable<T, D>& gamma,
                         const Variable<T, D>& beta, bool fixed, const Epilogue<Variable<T, D>>& after = {}) {
  return detail::normalised(normalise(x.value(), moments, gamma.value(), beta.value(), detail::values(after)),
                            x, moments, gamma, beta, fixed, after);
}

/// The same with batch_moments(x), on devices that take them on the way; the running moments move in place
/// unless they are empty.
template <class T, class D>
Variable<T, D> batch_normalise(const Variable<T, D>& x, const Variable<T, D>& gamma,
                               const Variable<T, D>& beta, double epsilon, Tensor<T, D>& running_mean,
                               Tensor<T, D>& running_variance, double momentum,
                               const Epilogue<Variable<T, D>>& after) {
  const auto result = batch_normalise(x.value(), gamma.value(), beta.value(), epsilon, running_mean,
                                      running_variance, momentum, detail::values(after));
  return detail::normalised(result.y, x, result.moments, gamma, beta, false, after);
}

}  // namespace loru::inline LORU_ISA
