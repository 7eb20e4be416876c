#pragma once
// Group normalisation layer.

#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::nn {

struct GroupNormOptions {
  Index groups = 1, channels = 1;
  double epsilon = 1e-5;
};

/// y = γ·(x − μ) / √(σ² + ε) + β with moments over each group of channels of each image. Keeps no statistics.
/// Source: Wu and He, arXiv 1803.08494.
template <class T, class D = Cpu>
class GroupNorm final : public Module<T, D> {
 public:
  explicit GroupNorm(const GroupNormOptions& o)
      : options_{o},
        gamma_{constant<T, D>({o.channels}, 1.0), true},
        beta_{constant<T, D>({o.channels}, 0.0), true} {
    require<ShapeError>(o.groups > 0 && o.channels % o.groups == 0, "group_norm: ", o.groups,
                        " groups do not divide ", o.channels, " channels");
  }

  Variable<T, D> forward(const Variable<T, D>& x, Pass&) override {
    return normalise(x, moments(x), gamma_, beta_, false);
  }

  Variable<T, D> forward_relu(const Variable<T, D>& x, const Variable<T, D>& residual, Pass&) override {
    return normalise(x, moments(x), gamma_, beta_, false, {true, residual});
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    visitor(join_name(prefix, "weight"), gamma_);
    visitor(join_name(prefix, "bias"), beta_);
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<GroupNorm>(*this); }

 private:
  Moments<T, D> moments(const Variable<T, D>& x) const {
    return group_moments(x.value(), options_.groups, options_.epsilon);
  }

  GroupNormOptions options_;
  Variable<T, D> gamma_, beta_;
};

}  // namespace loru::inline LORU_ISA::nn
