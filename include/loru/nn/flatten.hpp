#pragma once
// Flattening layer.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// (N, C, H, W) to (N, C·H·W), in row-major order whatever the layout.
template <class T, class D = Cpu>
class Flatten final : public Module<T, D> {
 public:
  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return flatten(x); }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Flatten>(*this); }
};

}  // namespace loru::inline LORU_ISA::nn
