#pragma once
// Pooling layers.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// Maximum over windows of x (N, C, H, W); padding never wins.
template <class T, class D = Cpu>
class MaxPool2d final : public Module<T, D> {
 public:
  explicit MaxPool2d(const PoolOptions& o = {}) : options_{o} {}
  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return max_pool2d(x, options_); }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<MaxPool2d>(*this); }

 private:
  PoolOptions options_;
};

/// Mean over windows that tile the image into height × width outputs.
template <class T, class D = Cpu>
class AdaptiveAvgPool2d final : public Module<T, D> {
 public:
  explicit AdaptiveAvgPool2d(Index height = 1, Index width = 1) : height_{height}, width_{width} {}
  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override {
    return adaptive_avg_pool2d(x, height_, width_);
  }
  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<AdaptiveAvgPool2d>(*this); }

 private:
  Index height_, width_;
};

}  // namespace loru::inline LORU_ISA::nn
