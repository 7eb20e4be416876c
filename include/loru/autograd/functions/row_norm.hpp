#pragma once
// Normalisations of rows of variables, with the residual sum before them.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// sum = x + residual and its normalised rows y.
template <class T, class D = Cpu>
struct NormalisedSum {
  Variable<T, D> sum, y;
};

namespace detail {

/// The sum as a variable: x itself without a residual.
template <class T, class D>
Variable<T, D> residual_sum(const Tensor<T, D>& sum, const Variable<T, D>& x,
                            const Variable<T, D>& residual) {
  if (!residual) return x;
  return {"add", sum, {x, residual}, [x, residual](const Tensor<T, D>& dy) {
            x.accumulate(dy);
            residual.accumulate(dy);
          }};
}

/// Takes the gradient that the sum has so far, so that the backward op adds to it in the same pass.
template <class T, class D>
Tensor<T, D> take_gradient(Variable<T, D> sum) {
  return sum.requires_grad() ? std::exchange(sum.mutable_gradient(), {}) : Tensor<T, D>();
}

template <class T, class D>
Tensor<T, D> value_or_none(const Variable<T, D>& x) {
  return x ? x.value() : Tensor<T, D>();
}

}  // namespace detail

/// sum = x + residual and y = γ·(sum − μ)·ρ + β, with μ and ρ of each row of sum (M, n). The residual may be
/// empty.
template <class T, class D>
  requires SequenceBackend<D, T>
NormalisedSum<T, D> layer_norm(const Variable<T, D>& x, const Variable<T, D>& residual,
                               const Variable<T, D>& gamma, const Variable<T, D>& beta, double epsilon) {
  RowNorm<T, D> r =
      layer_norm(x.value(), detail::value_or_none(residual), gamma.value(), beta.value(), epsilon);
  const Tensor<T, D> y = std::exchange(r.y, {});
  const Variable<T, D> sum = detail::residual_sum(r.sum, x, residual);
  return {sum,
          Variable<T, D>("layer_norm", y, {sum, gamma, beta}, [sum, gamma, beta, kept = r](Tensor<T, D> dy) {
            const RowNormWanted wanted{sum.requires_grad(), gamma.requires_grad() || beta.requires_grad()};
            const Tensor<T, D> dsum = detail::take_gradient(sum);
            auto d = layer_norm_backward(std::move(dy), dsum, kept, gamma.value(), wanted);
            if (wanted.dx) sum.accumulate(std::move(d.dx));
            if (!wanted.dgamma) return;
            gamma.accumulate(d.dgamma);
            beta.accumulate(d.dbeta);
          })};
}

/// sum = x + residual and y = γ·sum·ρ, with ρ of each row of sum (M, n). The residual may be empty.
template <class T, class D>
  requires SequenceBackend<D, T>
NormalisedSum<T, D> rms_norm(const Variable<T, D>& x, const Variable<T, D>& residual,
                             const Variable<T, D>& gamma, double epsilon) {
  RowNorm<T, D> r = rms_norm(x.value(), detail::value_or_none(residual), gamma.value(), epsilon);
  const Tensor<T, D> y = std::exchange(r.y, {});
  const Variable<T, D> sum = detail::residual_sum(r.sum, x, residual);
  return {sum, Variable<T, D>("rms_norm", y, {sum, gamma}, [sum, gamma, kept = r](Tensor<T, D> dy) {
            const RowNormWanted wanted{sum.requires_grad(), gamma.requires_grad()};
            const Tensor<T, D> dsum = detail::take_gradient(sum);
            auto d = rms_norm_backward(std::move(dy), dsum, kept, gamma.value(), wanted);
            if (wanted.dx) sum.accumulate(std::move(d.dx));
            if (wanted.dgamma) gamma.accumulate(d.dgamma);
          })};
}

}  // namespace loru::inline LORU_ISA
