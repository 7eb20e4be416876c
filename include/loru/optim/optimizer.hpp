#pragma once
// What an optimizer is: parameters, and a step that uses their gradients.

#include <memory>
#include <vector>

#include <loru/autograd/variable.hpp>

namespace loru::optim {

/// Updates parameters in place from their gradients. Parameters without a gradient are left alone.
template <class T, class D = Cpu>
class Optimizer {
 public:
  explicit Optimizer(std::vector<Variable<T, D>> parameters) : parameters_{std::move(parameters)} {}
  virtual ~Optimizer() = default;

  /// One update with the given learning rate; gradients stay as they are.
  virtual void step(double learning_rate) = 0;

  void clear_gradients() {
    for (auto& p : parameters_) p.clear_gradient();
  }
  std::vector<Variable<T, D>>& parameters() { return parameters_; }

 protected:
  /// A tensor of zeros like the i-th parameter.
  Tensor<T, D> zeros_like(std::size_t i) const {
    const Tensor<T, D>& w = parameters_[i].value();
    Tensor<T, D> z(w.shape(), w.layout());
    fill(z, T(0));
    return z;
  }

  std::vector<Variable<T, D>> parameters_;
};

}  // namespace loru::optim
