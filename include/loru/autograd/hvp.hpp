#pragma once
// Hessian-vector products: one backward pass over dual numbers.

#include <span>
#include <vector>

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// Gradient and Hessian-vector product of a loss, one tensor per parameter.
template <std::floating_point T>
struct HessianProduct {
  std::vector<Tensor<T>> gradient, product;
};

/// ∇f(θ) and ∇²f(θ)·v, exactly (Pearlmutter 1994): the gradient at θ + ε·v over dual numbers has ∇f as its
/// values and ∇²f·v as its tangents. `f` takes a span of dual variables in the order of `point` and returns a
/// scalar. Throws ShapeError if point and direction differ in shape.
template <std::floating_point T, class F>
HessianProduct<T> hvp(F f, std::span<const Tensor<T>> point, std::span<const Tensor<T>> direction) {
  require<ShapeError>(point.size() == direction.size(), "hvp: expected ", point.size(), " directions, got ",
                      direction.size());
  std::vector<Variable<Dual<T>>> variables;
  for (std::size_t i = 0; i < point.size(); ++i)
    variables.emplace_back(join(point[i], to_layout(direction[i], point[i].layout())), true);
  f(std::span<Variable<Dual<T>>>(variables)).backward();
  HessianProduct<T> result;
  for (std::size_t i = 0; i < point.size(); ++i) {
    Parts<T> parts;
    if (variables[i].gradient()) {
      parts = split(variables[i].gradient());
    } else {
      parts = {Tensor<T>(point[i].shape(), point[i].layout()),
               Tensor<T>(point[i].shape(), point[i].layout())};
      fill(parts.value, T(0));
      fill(parts.tangent, T(0));
    }
    result.gradient.push_back(parts.value);
    result.product.push_back(parts.tangent);
  }
  return result;
}

}  // namespace loru::inline LORU_ISA
