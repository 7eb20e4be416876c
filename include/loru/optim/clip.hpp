#pragma once
// Gradient-norm clipping. Optimizers clip by themselves (SgdOptions, AdamOptions::clip_norm).
// clip_gradient_norm rewrites the gradients, for code that reads them before the step.

#include <cmath>
#include <vector>

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA::optim {

/// ‖g‖ over the gradients of all parameters together.
template <class T, class D>
double gradient_norm(const std::vector<Variable<T, D>>& parameters) {
  double squares = 0.0;
  for (const auto& p : parameters)
    if (p.gradient()) squares += squared_norm(p.gradient());
  return std::sqrt(squares);
}

/// min(1, limit / (norm + 1e-6)). Source: Pascanu et al., arXiv 1211.5063; the constant is PyTorch's.
inline double clip_factor(double norm, double limit) {
  const double factor = limit / (norm + 1e-6);
  return factor < 1.0 ? factor : 1.0;
}

/// Multiplies all gradients by clip_factor(‖g‖, limit); returns ‖g‖ before.
template <class T, class D>
double clip_gradient_norm(std::vector<Variable<T, D>>& parameters, double limit) {
  const double norm = gradient_norm(parameters), factor = clip_factor(norm, limit);
  if (factor < 1.0)
    for (auto& p : parameters)
      if (p.gradient()) p.mutable_gradient() = scale(p.gradient(), T(static_cast<Real<T>>(factor)));
  return norm;
}

}  // namespace loru::inline LORU_ISA::optim
