#pragma once
// Gradient-norm clipping.

#include <cmath>
#include <vector>

#include <loru/autograd/variable.hpp>

namespace loru::optim {

/// Scales all gradients by min(1, limit / (‖g‖ + 1e-6)) with the norm over all of them together; returns ‖g‖ before.
/// Source: Pascanu et al., arXiv 1211.5063; the constant is PyTorch's.
template <class T, class D>
double clip_gradient_norm(std::vector<Variable<T, D>>& parameters, double limit) {
  double squares = 0.0;
  for (const auto& p : parameters)
    if (p.gradient()) squares += squared_norm(p.gradient());
  const double norm = std::sqrt(squares), factor = limit / (norm + 1e-6);
  if (factor < 1.0)
    for (auto& p : parameters)
      if (p.gradient()) p.mutable_gradient() = scale(p.gradient(), T(static_cast<Real<T>>(factor)));
  return norm;
}

}  // namespace loru::optim
