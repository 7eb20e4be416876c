#pragma once
// Parameter updates of optimizers on host tensors, one pass over the parameter each.

#include <loru/core/parallel.hpp>
#include <loru/ops/rules.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Elements that one thread updates at a time.
inline constexpr Index update_block = Index{1} << 15;

/// The rule on each of n elements; v is null without momentum.
template <Scalar T>
void sgd_block(Index n, T* __restrict w, const T* __restrict g, T* __restrict v, const SgdRule<T>& rule) {
  if (!v)
    for (Index i = 0; i < n; ++i) rule(w[i], g[i]);
  else
    for (Index i = 0; i < n; ++i) rule(w[i], g[i], v[i]);
}

template <Scalar T>
void adam_block(Index n, T* __restrict w, const T* __restrict g, T* __restrict m, T* __restrict v,
                const AdamRule<T>& rule) {
  for (Index i = 0; i < n; ++i) rule(w[i], g[i], m[i], v[i]);
}

}  // namespace cpu

/// g' = c·g + λ·w; v = μ·v + g'; w −= η·v, or η·(g' + μ·v) with Nesterov; c is the gradient's scale, which
/// clips. The velocity starts at zero and may be empty if the momentum is zero. As in PyTorch's SGD.
template <Scalar T>
void sgd_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& velocity, const SgdStep& o) {
  require_same_shape("sgd_update", w, g);
  const bool moving = o.momentum != 0.0;
  if (moving) require_same_shape("sgd_update", w, velocity);
  const SgdRule<T> rule(o);
  T *x = w.data(), *v = moving ? velocity.data() : nullptr;
  const T* d = g.data();
  parallel_blocks(w.size(), cpu::update_block, [&](Index first, Index last) {
    cpu::sgd_block(last - first, x + first, d + first, v ? v + first : nullptr, rule);
  });
}

/// g' = c·g; m = β₁·m + (1 − β₁)·g'; v = β₂·v + (1 − β₂)·g'²; w −= η·m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ),
/// v̂ = v / (1 − β₂ᵗ) (Kingma and Ba 2015); c is the gradient's scale, which clips. Weight decay λ·w is added
/// to g', or, decoupled, w shrinks by η·λ·w first (Loshchilov and Hutter 2019).
template <Scalar T>
void adam_update(Tensor<T>& w, const Tensor<T>& g, Tensor<T>& m, Tensor<T>& v, const AdamStep& o) {
  require_same_shape("adam_update", w, g);
  require_same_shape("adam_update", w, m);
  require_same_shape("adam_update", w, v);
  const AdamRule<T> rule(o);
  T *x = w.data(), *first_moment = m.data(), *second_moment = v.data();
  const T* d = g.data();
  parallel_blocks(w.size(), cpu::update_block, [&](Index first, Index last) {
    cpu::adam_block(last - first, x + first, d + first, first_moment + first, second_moment + first, rule);
  });
}

}  // namespace loru::inline LORU_ISA
