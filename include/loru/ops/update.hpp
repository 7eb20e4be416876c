#pragma once
// Parameter updates of optimizers on host tensors, one pass over the parameter each.

#include <cmath>

#include <loru/ops/types.hpp>

namespace loru {

/// g' = g + λ·w; v = μ·v + g'; w −= η·v, or η·(g' + μ·v) with Nesterov. The velocity starts at zero and may be empty if
/// the momentum is zero. As in PyTorch's SGD.
template <Scalar T>
void sgd_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  using R = Real<T>;
  const T rate = T(static_cast<R>(o.learning_rate)), mu = T(static_cast<R>(o.momentum)),
          decay = T(static_cast<R>(o.weight_decay));
  T* x = w.data();
  const T* d = g.data();
  const Index n = w.size();
  if (o.momentum == 0.0) {
    for (Index i = 0; i < n; ++i) x[i] -= rate * (d[i] + decay * x[i]);
    return;
  }
  require_same_shape("sgd_update", w, velocity);
  T* v = velocity.data();
  for (Index i = 0; i < n; ++i) {
    const T gradient = d[i] + decay * x[i];
    v[i] = mu * v[i] + gradient;
    x[i] -= rate * (o.nesterov ? gradient + mu * v[i] : v[i]);
  }
}

/// m = β₁·m + (1 − β₁)·g; v = β₂·v + (1 − β₂)·g²; w −= η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
/// (Kingma and Ba 2015). Weight decay λ is added to g, or, decoupled, w shrinks by η·λ·w first (Loshchilov and
/// Hutter 2019).
template <Scalar T>
void adam_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& m, Tensor<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  using std::sqrt;
  using R = Real<T>;
  const double t = static_cast<double>(o.step);
  const T rate = T(static_cast<R>(o.learning_rate / (1.0 - std::pow(o.beta1, t))));
  const T correction = T(static_cast<R>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, t))));
  const T beta1 = T(static_cast<R>(o.beta1)), beta2 = T(static_cast<R>(o.beta2)), one = T(R(1));
  const T epsilon = T(static_cast<R>(o.epsilon));
  const T shrink = T(static_cast<R>(o.decoupled ? 1.0 - o.learning_rate * o.weight_decay : 1.0));
  const T decay = T(static_cast<R>(o.decoupled ? 0.0 : o.weight_decay));
  T *x = w.data(), *first = m.data(), *second = v.data();
  const T* d = g.data();
  for (Index i = 0, n = w.size(); i < n; ++i) {
    const T gradient = d[i] + decay * x[i];
    first[i] = beta1 * first[i] + (one - beta1) * gradient;
    second[i] = beta2 * second[i] + (one - beta2) * (gradient * gradient);
    x[i] = shrink * x[i] - rate * first[i] / (sqrt(second[i]) * correction + epsilon);
  }
}

}  // namespace loru
