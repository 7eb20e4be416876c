#pragma once
// The low-rank parametrisation W + s·B·A.

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// W + s·B·A with s = alpha / r: W (m, n) frozen, perhaps in blocks, A (r, n), B (m, r) trained. For a
/// convolution A has shape (r, Cin, kh, kw). Dropout acts on S = x·Aᵀ in training and then forces the
/// factored graph. Source: Park and Klabjan, arXiv 2409.12371; Hu et al., LoRA, arXiv 2106.09685.
template <class T, class D = Cpu>
class Factored final : public Parametrisation<T, D> {
 public:
  struct Options {
    double alpha = 1.0;
    double dropout = 0.0;
    PlanRule plan = [](const LowRankProblem&) { return Plan::composed; };
    double init_scale = 1.0;  ///< of A whenever it is drawn
  };

  /// Throws ShapeError unless a (r, n) and b (m, r) fit w (m, n).
  Factored(Tensor<T, D> w, Tensor<T, D> a, Tensor<T, D> b, Options options)
      : options_{std::move(options)}, weight_{std::move(w)}, a_{std::move(a), true}, b_{std::move(b), true} {
    loru::detail::factor_rank("factored weight", weight_, a_.value(), b_.value());
  }

  /// From variables, which may depend on others.
  Factored(Variable<T, D> w, Variable<T, D> a, Variable<T, D> b, Options options)
      : options_{std::move(options)}, weight_{std::move(w)}, a_{std::move(a)}, b_{std::move(b)} {
    loru::detail::factor_rank("factored weight", weight_, a_.value(), b_.value());
  }

  std::unique_ptr<Parametrisation<T, D>> clone() const override { return std::make_unique<Factored>(*this); }
  Shape shape() const override { return weight_.shape(); }
  Index rank() const override { return a_.shape()[0]; }
  double alpha() const { return options_.alpha; }
  double dropout() const { return options_.dropout; }
  const PlanRule& plan_rule() const { return options_.plan; }
  void set_plan(PlanRule rule) { options_.plan = std::move(rule); }
  double scale() const { return options_.alpha / static_cast<double>(rank()); }

  const Options& options() const { return options_; }

  /// New factors, of any rank: new variables. Throws ShapeError unless they fit W.
  void set_factors(Tensor<T, D> a, Tensor<T, D> b) {
    loru::detail::factor_rank("factored weight", weight_, a, b);
    a_ = Variable<T, D>(std::move(a), true);
    b_ = Variable<T, D>(std::move(b), true);
  }

  Variable<T, D>& base() { return weight_; }
  Variable<T, D>& a() { return a_; }
  Variable<T, D>& b() { return b_; }

  WeightForm<T, D> form() const override {
    return {weight_, a_, b_, scale(), options_.dropout, &options_.plan};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(factor_name(layer, Role::down), a_, Role::down);
    visitor(factor_name(layer, Role::up), b_, Role::up);
  }

 private:
  Options options_;
  Variable<T, D> weight_, a_, b_;
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_FACTORED(TEMPLATE, T) TEMPLATE class Factored<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_FACTORED(extern template, float)
LORU_COMPILED_FACTORED(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
