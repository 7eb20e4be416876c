#pragma once
// Gradients of functions of variables held against differences of their values.

#include <functional>
#include <vector>

#include <loru/autograd/autograd.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

namespace loru_test {

using V = loru::Variable<double>;
using Inputs = std::vector<V>;
using Function = std::function<V(Inputs&)>;

/// Checks the gradients of Σ c ⊙ f(inputs), with fixed random c, in every element of every input.
inline void check_gradients(std::initializer_list<loru::Tensor<double>> values, const Function& f) {
  Inputs inputs;
  for (const loru::Tensor<double>& value : values) inputs.emplace_back(value, true);
  const Function scalar = [&](Inputs& v) {
    const V y = f(v);
    return sum(multiply(y, V(gaussian(y.shape(), 99, y.value().layout()))));
  };
  CHECK(loru::gradcheck(scalar, inputs) < 1e-6);
}

}  // namespace loru_test
