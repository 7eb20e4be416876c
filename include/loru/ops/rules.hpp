#pragma once
// What one step of an optimizer does to one element, for the host and for device code.

#include <cmath>

#include <loru/core/host_device.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// g' = c·g + λ·w; v = μ·v + g'; w −= η·v, or η·(g' + μ·v) with Nesterov. Without momentum there is no v.
template <class T>
struct SgdRule {
  T rate, mu, decay, c;
  bool nesterov;

  SgdRule() = default;
  explicit SgdRule(const SgdStep& o)
      : rate{number(o.learning_rate)},
        mu{number(o.momentum)},
        decay{number(o.weight_decay)},
        c{number(o.gradient_scale)},
        nesterov{o.nesterov} {}

  LORU_HOST_DEVICE void operator()(T& w, T g) const { w -= rate * (c * g + decay * w); }
  LORU_HOST_DEVICE void operator()(T& w, T g, T& v) const {
    const T gradient = c * g + decay * w, moved = mu * v + gradient;
    v = moved;
    w -= rate * (nesterov ? gradient + mu * moved : moved);
  }

 private:
  static T number(double x) { return T(static_cast<Real<T>>(x)); }
};

/// g' = c·g + λ·w; m = β₁·m + (1 − β₁)·g'; v = β₂·v + (1 − β₂)·g'²; w = shrink·w − rate·m / (√v·correction +
/// ε), where rate = η / (1 − β₁ᵗ) and correction = 1 / √(1 − β₂ᵗ) take the bias out of the moments. A
/// decoupled decay shrinks w by 1 − η·λ and has no part in g'.
template <class T>
struct AdamRule {
  T rate, correction, beta1, beta2, epsilon, shrink, decay, c;

  AdamRule() = default;
  explicit AdamRule(const AdamStep& o)
      : rate{number(o.learning_rate / (1.0 - std::pow(o.beta1, static_cast<double>(o.step))))},
        correction{number(1.0 / std::sqrt(1.0 - std::pow(o.beta2, static_cast<double>(o.step))))},
        beta1{number(o.beta1)},
        beta2{number(o.beta2)},
        epsilon{number(o.epsilon)},
        shrink{number(o.decoupled ? 1.0 - o.learning_rate * o.weight_decay : 1.0)},
        decay{number(o.decoupled ? 0.0 : o.weight_decay)},
        c{number(o.gradient_scale)} {}

  LORU_HOST_DEVICE void operator()(T& w, T g, T& m, T& v) const {
    using std::sqrt;
    const T gradient = c * g + decay * w;
    m = beta1 * m + (T(1) - beta1) * gradient;
    v = beta2 * v + (T(1) - beta2) * (gradient * gradient);
    w = shrink * w - rate * m / (sqrt(v) * correction + epsilon);
  }

 private:
  static T number(double x) { return T(static_cast<Real<T>>(x)); }
};

}  // namespace loru::inline LORU_ISA
