#pragma once
// What an optimizer is: parameters, and a step that uses their gradients.

#include <memory>
#include <vector>

#include <loru/optim/clip.hpp>

namespace loru::inline LORU_ISA::optim {

/// Updates parameters in place from their gradients. Parameters without a gradient are left alone.
template <class T, class D = Cpu>
class Optimizer {
 public:
  /// If the norm of all gradients together exceeds `clip_norm`, updates use the gradients scaled down to it;
  /// zero does not clip. Throws ConfigError if it is negative.
  explicit Optimizer(std::vector<Variable<T, D>> parameters, double clip_norm = 0.0)
      : parameters_{std::move(parameters)}, clip_norm_{clip_norm} {
    require<ConfigError>(clip_norm >= 0.0, "optimizer: expected clip_norm >= 0, got ", clip_norm);
  }
  virtual ~Optimizer() = default;

  /// One update with the given learning rate. Gradients are read, once for their norm if it is limited and
  /// once for the update, and stay as they are.
  void step(double learning_rate) {
    if constexpr (requires(std::vector<const Tensor<T, D>*> all) { clip_scale(all, 0.0); })
      if (clip_norm_ > 0.0)  // a device that clips without the host's looking at the norm
        return update_scaled(learning_rate, clip_scale(gradients(), clip_norm_));
    update(learning_rate, clip_norm_ > 0.0 ? clip_factor(gradient_norm(parameters_), clip_norm_) : 1.0);
  }

  void clear_gradients() {
    for (auto& p : parameters_) p.clear_gradient();
  }
  std::vector<Variable<T, D>>& parameters() { return parameters_; }

 protected:
  /// One update from `gradient_scale` times the gradients.
  virtual void update(double learning_rate, double gradient_scale) = 0;

  /// The same for a factor of shape () in the device's memory, which is read unless an optimizer leaves it
  /// there.
  virtual void update_scaled(double learning_rate, const Tensor<double, D>& gradient_scale) {
    update(learning_rate, to_host(gradient_scale).data()[0]);
  }

  /// A tensor of zeros like the i-th parameter.
  Tensor<T, D> zeros_like(std::size_t i) const {
    const Tensor<T, D>& w = parameters_[i].value();
    Tensor<T, D> z(w.shape(), w.layout());
    fill(z, T(0));
    return z;
  }

  /// The parameters that have a gradient; keep(i, update) adds the optimizer's state of the i-th.
  template <class Keep>
  std::vector<ParameterUpdate<T, D>> updates(const Keep& keep) {
    std::vector<ParameterUpdate<T, D>> all;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      auto& p = parameters_[i];
      if (!p.gradient()) continue;
      ParameterUpdate<T, D> update{.w = &p.mutable_value(), .g = &p.gradient()};
      keep(i, update);
      all.push_back(update);
    }
    return all;
  }

  std::vector<Variable<T, D>> parameters_;

 private:
  std::vector<const Tensor<T, D>*> gradients() const {
    std::vector<const Tensor<T, D>*> all;
    for (const auto& p : parameters_)
      if (p.gradient()) all.push_back(&p.gradient());
    return all;
  }

  double clip_norm_;
};

}  // namespace loru::inline LORU_ISA::optim
