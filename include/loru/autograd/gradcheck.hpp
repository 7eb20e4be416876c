#pragma once
// Numeric check of gradients by central differences.

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// Largest |numeric − analytic| / max(1, |numeric|, |analytic|) over all elements of all inputs of a scalar
/// function, with numeric = (f(x + h) − f(x − h)) / 2h. `f` takes a vector of variables and returns a scalar
/// variable. The inputs' values are restored; they must require gradients.
template <class F>
double gradcheck(F f, std::vector<Variable<double>> inputs, double h = 1e-5) {
  for (auto& input : inputs) {
    input.clear_gradient();
    input.set_value(clone(input.value()));
  }
  f(inputs).backward();
  const auto loss = [&] {
    NoGrad guard;
    return item(f(inputs));
  };
  double worst = 0.0;
  for (auto& input : inputs) {
    Tensor<double> x = input.value();
    const Tensor<double> gradient = input.gradient();
    for (Index i = 0; i < x.size(); ++i) {
      const double at = x.data()[i];
      x.data()[i] = at + h;
      const double above = loss();
      x.data()[i] = at - h;
      const double below = loss();
      x.data()[i] = at;
      const double numeric = (above - below) / (2.0 * h), analytic = gradient ? gradient.data()[i] : 0.0;
      const double error =
          std::abs(numeric - analytic) / std::max({1.0, std::abs(numeric), std::abs(analytic)});
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

}  // namespace loru::inline LORU_ISA
