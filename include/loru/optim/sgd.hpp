#pragma once
// Stochastic gradient descent.

#include <loru/optim/optimizer.hpp>

namespace loru::inline LORU_ISA::optim {

struct SgdOptions {
  double momentum = 0.0;
  bool nesterov = false;
  double weight_decay = 0.0;
  /// Largest norm of the gradient of all parameters together; zero does not clip.
  double clip_norm = 0.0;
};

/// With c = 1, or min(1, clip_norm / (‖g‖ + 1e-6)): g' = c·g + λ·w; v = μ·v + g' from v = 0; w −= η·v, or
/// η·(g' + μ·v) with Nesterov momentum. Throws ConfigError unless 0 <= μ < 1, λ >= 0 and clip_norm >= 0.
/// Sources: Polyak 1964; Sutskever et al. 2013; PyTorch's SGD.
template <class T, class D = Cpu>
class Sgd final : public Optimizer<T, D> {
 public:
  Sgd(std::vector<Variable<T, D>> parameters, const SgdOptions& o = {})
      : Optimizer<T, D>(std::move(parameters), o.clip_norm),
        options_{o},
        velocity_(this->parameters_.size()) {
    require<ConfigError>(o.momentum >= 0.0 && o.momentum < 1.0, "sgd: expected 0 <= momentum < 1, got ",
                         o.momentum);
    require<ConfigError>(o.weight_decay >= 0.0, "sgd: expected weight_decay >= 0, got ", o.weight_decay);
    if (o.momentum > 0.0)
      for (std::size_t i = 0; i < velocity_.size(); ++i) velocity_[i] = this->zeros_like(i);
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
    const SgdStep step{learning_rate, options_.momentum, options_.weight_decay, options_.nesterov,
                       gradient_scale};
    const auto all =
        this->updates([this](std::size_t i, ParameterUpdate<T, D>& u) { u.first = &velocity_[i]; });
    if constexpr (requires { sgd_update_all(all, step, scale); })
      sgd_update_all(all, step, scale);  // a device that starts few launches
    else
      for (const auto& u : all) sgd_update(*u.w, *u.g, *u.first, step);
  }

  SgdOptions options_;
  std::vector<Tensor<T, D>> velocity_;
};

}  // namespace loru::inline LORU_ISA::optim
