#pragma once
// Layer normalisation and root-mean-square normalisation.

#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::nn {

struct RowNormOptions {
  Index width = 1;
  double epsilon = 1e-5;
};

/// y = γ·(s − μ) / √(σ² + ε) + β with the moments of each row of s (M, width). Source: Ba, Kiros and Hinton,
/// arXiv 1607.06450.
template <class T, class D = Cpu>
class LayerNorm final : public Module<T, D> {
 public:
  explicit LayerNorm(const RowNormOptions& o)
      : epsilon_{o.epsilon},
        gamma_{constant<T, D>({o.width}, 1.0), true},
        beta_{constant<T, D>({o.width}, 0.0), true} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return of_sum(x, {}).y; }

  /// x + residual, and its normalised rows. The residual may be empty.
  NormalisedSum<T, D> of_sum(const Variable<T, D>& x, const Variable<T, D>& residual) const {
    return layer_norm(x, residual, gamma_, beta_, epsilon_);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    visitor(join_name(prefix, "weight"), gamma_);
    visitor(join_name(prefix, "bias"), beta_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<LayerNorm>(*this); }

 private:
  double epsilon_;
  Variable<T, D> gamma_, beta_;
};

/// y = γ·s / √(mean(s²) + ε) of each row of s (M, width). Source: Zhang and Sennrich, arXiv 1910.07467.
template <class T, class D = Cpu>
class RMSNorm final : public Module<T, D> {
 public:
  explicit RMSNorm(const RowNormOptions& o)
      : epsilon_{o.epsilon}, gamma_{constant<T, D>({o.width}, 1.0), true} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override { return of_sum(x, {}).y; }

  /// x + residual, and its normalised rows. The residual may be empty.
  NormalisedSum<T, D> of_sum(const Variable<T, D>& x, const Variable<T, D>& residual) const {
    return rms_norm(x, residual, gamma_, epsilon_);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    visitor(join_name(prefix, "weight"), gamma_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<RMSNorm>(*this); }

 private:
  double epsilon_;
  Variable<T, D> gamma_;
};

}  // namespace loru::inline LORU_ISA::nn
