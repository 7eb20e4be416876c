#pragma once
// Activation layers.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// y = max(x, 0).
template <class T, class D = Cpu>
class ReLU final : public Module<T, D> {
 public:
  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return relu(x); }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<ReLU>(*this); }
};

/// y = x·Φ(x), exact (Hendrycks and Gimpel, arXiv 1606.08415).
template <class T, class D = Cpu>
class GELU final : public Module<T, D> {
 public:
  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return gelu(x); }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<GELU>(*this); }
};

}  // namespace loru::inline LORU_ISA::nn
