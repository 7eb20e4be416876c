#pragma once
// Ops on dual numbers held against their plain selves.

#include <loru/cpu/cpu.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

namespace loru_test {

using D = loru::Dual<double>;

inline std::vector<loru::Tensor<double>> shifted(const std::vector<loru::Tensor<D>>& x, double h) {
  std::vector<loru::Tensor<double>> y;
  for (const loru::Tensor<D>& t : x) {
    const loru::Parts<double> parts = split(t);
    y.push_back(clone(parts.value));
    add_scaled(y.back(), h, parts.tangent);
  }
  return y;
}

/// An op on duals has the value of the plain op bit for bit, and the central difference as its tangent. `f`
/// takes copies of the inputs.
template <class F>
void check_dual(const char* name, std::initializer_list<loru::Shape> shapes, F f) {
  INFO(name);
  std::vector<loru::Tensor<D>> inputs;
  for (const loru::Shape& shape : shapes) inputs.push_back(gaussian<D>(shape, inputs.size() + 1));
  const loru::Tensor<double> plain = f(shifted(inputs, 0.0));
  std::vector<loru::Tensor<D>> copies;
  for (const loru::Tensor<D>& x : inputs) copies.push_back(clone(x));
  const loru::Parts<double> dual = split(f(copies));
  CHECK(same_bits(dual.value, plain));
  constexpr double h = 1e-6;
  const loru::Tensor<double> above = f(shifted(inputs, h)), below = f(shifted(inputs, -h));
  const loru::Tensor<double> slope = scale(add(above, scale(below, -1.0)), 0.5 / h);
  CHECK(difference(dual.tangent, slope) < 1e-7);
}

}  // namespace loru_test
