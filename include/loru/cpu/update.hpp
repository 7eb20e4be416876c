#pragma once
// Parameter updates of optimizers on host tensors, one pass over the parameter each.

#include <cmath>

#include <loru/core/parallel.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Elements that one thread updates at a time.
inline constexpr Index update_block = Index{1} << 15;

/// sgd_update of n elements; v is null without momentum.
template <Scalar T>
void sgd_block(Index n, T* __restrict w, const T* __restrict g, T* __restrict v, const SgdStep& o) {
  using R = Real<T>;
  const T rate = T(static_cast<R>(o.learning_rate)), mu = T(static_cast<R>(o.momentum)),
          decay = T(static_cast<R>(o.weight_decay)), c = T(static_cast<R>(o.gradient_scale));
  if (!v) {
    for (Index i = 0; i < n; ++i) w[i] -= rate * (c * g[i] + decay * w[i]);
    return;
  }
  const bool nesterov = o.nesterov;
  for (Index i = 0; i < n; ++i) {
    const T gradient = c * g[i] + decay * w[i], moved = mu * v[i] + gradient;
    v[i] = moved;
    w[i] -= rate * (nesterov ? gradient + mu * moved : moved);
  }
}

/// adam_update of n elements.
template <Scalar T>
void adam_block(Index n, T* __restrict w, const T* __restrict g, T* __restrict m, T* __restrict v,
                const AdamStep& o) {
  using std::sqrt;
  using R = Real<T>;
  const double t = static_cast<double>(o.step);
  const T rate = T(static_cast<R>(o.learning_rate / (1.0 - std::pow(o.beta1, t))));
  const T correction = T(static_cast<R>(1.0 / std::sqrt(1.0 - std::pow(o.beta2, t))));
  const T beta1 = T(static_cast<R>(o.beta1)), beta2 = T(static_cast<R>(o.beta2)), one = T(R(1));
  const T epsilon = T(static_cast<R>(o.epsilon)), c = T(static_cast<R>(o.gradient_scale));
  const T shrink = T(static_cast<R>(o.decoupled ? 1.0 - o.learning_rate * o.weight_decay : 1.0));
  const T decay = T(static_cast<R>(o.decoupled ? 0.0 : o.weight_decay));
  for (Index i = 0; i < n; ++i) {
    const T gradient = c * g[i] + decay * w[i];
    m[i] = beta1 * m[i] + (one - beta1) * gradient;
    v[i] = beta2 * v[i] + (one - beta2) * (gradient * gradient);
    w[i] = shrink * w[i] - rate * m[i] / (sqrt(v[i]) * correction + epsilon);
  }
}

}  // namespace cpu

/// g' = c·g + λ·w; v = μ·v + g'; w −= η·v, or η·(g' + μ·v) with Nesterov; c is the gradient's scale, which clips. The
/// velocity starts at zero and may be empty if the momentum is zero. As in PyTorch's SGD.
template <Scalar T>
void sgd_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  const bool moving = o.momentum != 0.0;
  if (moving) require_same_shape("sgd_update", w, velocity);
  T *x = w.data(), *v = moving ? velocity.data() : nullptr;
  const T* d = g.data();
  parallel_blocks(w.size(), cpu::update_block, [&](Index first, Index last) {
    cpu::sgd_block(last - first, x + first, d + first, v ? v + first : nullptr, o);
  });
}

/// g' = c·g; m = β₁·m + (1 − β₁)·g'; v = β₂·v + (1 − β₂)·g'²; w −= η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ),
/// v̂ = v / (1 − β₂ᵗ) (Kingma and Ba 2015); c is the gradient's scale, which clips. Weight decay λ·w is added to g', or,
/// decoupled, w shrinks by η·λ·w first (Loshchilov and Hutter 2019).
template <Scalar T>
void adam_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& m, Tensor<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  T *x = w.data(), *first_moment = m.data(), *second_moment = v.data();
  const T* d = g.data();
  parallel_blocks(w.size(), cpu::update_block, [&](Index first, Index last) {
    cpu::adam_block(last - first, x + first, d + first, first_moment + first, second_moment + first, o);
  });
}

}  // namespace loru
