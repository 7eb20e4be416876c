#pragma once
// Epilogues of functions of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA::detail {

/// The epilogue on the values of its variables.
template <class T, class D>
Epilogue<Tensor<T, D>> values(const Epilogue<Variable<T, D>>& after) {
  return {after.relu, after.residual ? after.residual.value() : Tensor<T, D>()};
}

}  // namespace loru::inline LORU_ISA::detail
