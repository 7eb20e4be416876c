#pragma once
// Adam and AdamW.

#include <loru/optim/optimizer.hpp>

namespace loru::inline LORU_ISA::optim {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  /// AdamW: the weight decay shrinks w directly instead of entering the gradient.
  bool decoupled = false;
  /// Largest norm of the gradient of all parameters together; zero does not clip.
  double clip_norm = 0.0;
};

/// With g clipped to clip_norm: m = β₁·m + (1 − β₁)·g, v = β₂·v + (1 − β₂)·g², w −= η·m̂ / (√v̂ + ε), with m̂
/// and v̂ corrected for their start.
/// Throws ConfigError unless 0 <= β < 1, ε > 0, λ >= 0 and clip_norm >= 0. Sources: Kingma and Ba, arXiv
/// 1412.6980; Loshchilov and Hutter, arXiv 1711.05101.
template <class T, class D = Cpu>
class Adam final : public Optimizer<T, D> {
 public:
  Adam(std::vector<Variable<T, D>> parameters, const AdamOptions& o = {})
      : Optimizer<T, D>(std::move(parameters), o.clip_norm), options_{o}, state_(this->parameters_.size()) {
    require<ConfigError>(o.beta1 >= 0.0 && o.beta1 < 1.0 && o.beta2 >= 0.0 && o.beta2 < 1.0,
                         "adam: expected 0 <= beta1, beta2 < 1, got ", o.beta1, " and ", o.beta2);
    require<ConfigError>(o.epsilon > 0.0, "adam: expected epsilon > 0, got ", o.epsilon);
    require<ConfigError>(o.weight_decay >= 0.0, "adam: expected weight_decay >= 0, got ", o.weight_decay);
    for (std::size_t i = 0; i < state_.size(); ++i) state_[i] = {this->zeros_like(i), this->zeros_like(i), 0};
  }

 protected:
  void update(double learning_rate, double gradient_scale) override {
    apply(learning_rate, gradient_scale, {});
  }

  void update_scaled(double learning_rate, const Tensor<double, D>& gradient_scale) override {
    apply(learning_rate, 1.0, gradient_scale);
  }

 private:
  /// `scale` is in the place of gradient_scale unless it is empty.
  void apply(double learning_rate, double gradient_scale, const Tensor<double, D>& scale) {
    AdamStep step{learning_rate,
                  options_.beta1,
                  options_.beta2,
                  options_.epsilon,
                  options_.weight_decay,
                  options_.decoupled,
                  1,
                  gradient_scale};
    const auto all = this->updates([this](std::size_t i, ParameterUpdate<T, D>& u) {
      u.first = &state_[i].first;
      u.second = &state_[i].second;
      u.step = state_[i].step + 1;
    });
    if constexpr (requires { adam_update_all(all, step, scale); })
      adam_update_all(all, step, scale);  // a device that starts few launches
    else
      for (const auto& u : all) {
        step.step = u.step;
        adam_update(*u.w, *u.g, *u.first, *u.second, step);
      }
    for (std::size_t i = 0; i < state_.size(); ++i)
      if (this->parameters_[i].gradient()) ++state_[i].step;
  }

  struct State {
    Tensor<T, D> first, second;
    Index step = 0;
  };

  AdamOptions options_;
  std::vector<State> state_;
};

}  // namespace loru::inline LORU_ISA::optim
