#pragma once
// Multilayer perceptron.

#include <loru/nn/models/options.hpp>

namespace loru::inline LORU_ISA::nn {

/// flatten, fc1 (256), relu, fc2 (256), relu, fc3 (classes).
template <class T, class D = Cpu>
Model<T, D> mlp(const ModelOptions& o = {}) {
  constexpr Index hidden = 256;
  detail::Builder<T, D> b(o);
  Sequential<T, D> s;
  s.add("flatten", Flatten<T, D>());
  s.add("fc1", b.linear(o.channels * o.height * o.width, hidden)).add("relu1", ReLU<T, D>());
  s.add("fc2", b.linear(hidden, hidden)).add("relu2", ReLU<T, D>());
  s.add("fc3", b.linear(hidden, o.classes));
  return s;
}

}  // namespace loru::inline LORU_ISA::nn
