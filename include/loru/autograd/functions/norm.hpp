#pragma once
// Normalisations of variables.

#include <loru/autograd/functions/epilogue.hpp>

namespace loru::inline LORU_ISA {

/// z = γ·(x − μ)·ρ + β, x (N, C, H, W), and the epilogue of z in the same pass. The moments are
/// batch_moments(x) or group_moments(x), and are differentiated through (training), or `fixed` ones that are
/// constants (evaluation).
template <class T, class D>
Variable<T, D> normalise(const Variable<T, D>& x, const Moments<T, D>& moments, const Variable<T, D>& gamma,
                         const Variable<T, D>& beta, bool fixed, const Epilogue<Variable<T, D>>& after = {}) {
  const Tensor<T, D> y = normalise(x.value(), moments, gamma.value(), beta.value(), detail::values(after));
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

}  // namespace loru::inline LORU_ISA
