#pragma once
// Batch normalisation layer.

#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::nn {

struct BatchNormOptions {
  Index channels = 1;
  double epsilon = 1e-5;
  double momentum = 0.1;
};

/// y = γ·(x − μ) / √(σ² + ε) + β per channel of x (N, C, H, W). Training uses the batch's moments and moves
/// the running ones, r ← (1 − momentum)·r + momentum·batch, with the unbiased variance; evaluation uses the
/// running ones. Source: Ioffe and Szegedy, arXiv 1502.03167; running statistics as in PyTorch.
template <class T, class D = Cpu>
class BatchNorm2d final : public Module<T, D> {
 public:
  explicit BatchNorm2d(const BatchNormOptions& o)
      : options_{o},
        gamma_{constant<T, D>({o.channels}, 1.0), true},
        beta_{constant<T, D>({o.channels}, 0.0), true},
        running_mean_{constant<T, D>({o.channels}, 0.0)},
        running_variance_{constant<T, D>({o.channels}, 1.0)} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override { return normalised(x, pass, {}); }

  Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass& pass) override {
    return normalised(x, pass, {true, residual});
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    visitor(join_name(prefix, "weight"), gamma_);
    visitor(join_name(prefix, "bias"), beta_);
    visitor(join_name(prefix, "running_mean"), running_mean_);
    visitor(join_name(prefix, "running_var"), running_variance_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<BatchNorm2d>(*this); }

 private:
  Variable<T, D> normalised(const Variable<T, D>& x, const Pass& pass,
                            const Epilogue<Variable<T, D>>& after) {
    if constexpr (moves_on_the_way)
      if (pass.training) {
        Tensor<T, D> none;
        const bool moves = pass.update_statistics;
        return batch_normalise(x, gamma_, beta_, options_.epsilon, moves ? running_mean_ : none,
                               moves ? running_variance_ : none, options_.momentum, after);
      }
    return normalise(x, moments(x, pass), gamma_, beta_, !pass.training, after);
  }

  /// Whether the device takes the moments, moves the running ones and normalises in one op.
  static constexpr bool moves_on_the_way = requires(Tensor<T, D>& t, const Epilogue<Tensor<T, D>>& e) {
    batch_normalise(t, t, t, 0.0, t, t, 0.0, e);
  };

  /// The moments to normalise with: in training those of the batch, which may also update the running ones;
  /// otherwise the running ones.
  Moments<T, D> moments(const Variable<T, D>& x, const Pass& pass) {
    if (!pass.training) return fixed_moments(running_mean_, running_variance_, options_.epsilon);
    const Moments<T, D> batch = batch_moments(x.value(), options_.epsilon);
    if (pass.update_statistics) move_statistics(batch, x.value().size() / options_.channels);
    return batch;
  }

  /// `rows` values a channel.
  void move_statistics(const Moments<T, D>& moments, Index rows) {
    const double m = options_.momentum;
    running_mean_ = blend(running_mean_, 1.0 - m, moments.mean, m);
    running_variance_ = blend(running_variance_, 1.0 - m, moments.variance, m * unbiased_factor(rows));
  }

  static Tensor<T, D> blend(const Tensor<T, D>& x, double p, const Tensor<T, D>& y, double q) {
    Tensor<T, D> z = scale(x, T(static_cast<Real<T>>(p)));
    add_scaled(z, T(static_cast<Real<T>>(q)), y);
    return z;
  }

  BatchNormOptions options_;
  Variable<T, D> gamma_, beta_;
  Tensor<T, D> running_mean_, running_variance_;
};

}  // namespace loru::inline LORU_ISA::nn
