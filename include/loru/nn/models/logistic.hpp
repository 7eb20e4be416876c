#pragma once
// Multinomial logistic regression.

#include <loru/nn/models/options.hpp>

namespace loru::inline LORU_ISA::nn {

/// flatten, fc: one linear map from pixels to classes.
template <class T, class D = Cpu>
Model<T, D> logistic(const ModelOptions& o = {}) {
  detail::Builder<T, D> b(o);
  Sequential<T, D> s;
  s.add("flatten", Flatten<T, D>()).add("fc", b.linear(o.channels * o.height * o.width, o.classes));
  return s;
}

}  // namespace loru::inline LORU_ISA::nn
