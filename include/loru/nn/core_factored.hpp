#pragma once
// The low-rank parametrisation of which only a small core between two fixed factors is trained.

#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::nn {

/// W + s·B·R·A with s = alpha / r: R (r, r) is trained and begins at zero; W (m, n), A (r, n) and B (m, r)
/// stand still. A of a convolution keeps its window. It is linear in R. Computed as W + s·(B·R)·A, in the
/// graph that the plan chooses. Sources: Bałazy et al. (LoRA-XS), arXiv 2405.17604; Singhal et al.
/// (Fed-SB), arXiv 2502.15436.
template <class T, class D = Cpu>
class CoreFactored final : public Parametrisation<T, D> {
 public:
  using Options = typename Factored<T, D>::Options;

  /// Throws ShapeError unless a (r, n) and b (m, r) fit w (m, n).
  CoreFactored(Variable<T, D> w, Tensor<T, D> a, Tensor<T, D> b, Options options)
      : options_{std::move(options)}, weight_{std::move(w)}, a_{std::move(a)}, b_{std::move(b)} {
    loru::detail::factor_rank("core-factored weight", weight_, a_.value(), b_.value());
    Tensor<T, D> zero(Shape{rank(), rank()});
    fill(zero, T(0));
    core_ = Variable<T, D>(zero, true);
  }

  CoreFactored(Tensor<T, D> w, Tensor<T, D> a, Tensor<T, D> b, Options options)
      : CoreFactored(Variable<T, D>(std::move(w)), std::move(a), std::move(b), std::move(options)) {}

  std::unique_ptr<Parametrisation<T, D>> clone() const override {
    return std::make_unique<CoreFactored>(*this);
  }
  Shape shape() const override { return weight_.shape(); }
  Index rank() const override { return a_.shape()[0]; }
  double alpha() const { return options_.alpha; }
  double dropout() const { return options_.dropout; }
  double scale() const { return options_.alpha / static_cast<double>(rank()); }
  const PlanRule& plan_rule() const { return options_.plan; }
  void set_plan(PlanRule rule) { options_.plan = std::move(rule); }

  Variable<T, D>& base() { return weight_; }
  Variable<T, D>& a() { return a_; }
  Variable<T, D>& b() { return b_; }
  Variable<T, D>& core() { return core_; }

  WeightForm<T, D> form() const override {
    return {weight_, a_, matmul(b_, core_), scale(), options_.dropout, &options_.plan};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(core_name(layer, Role::down), a_, Role::frozen);
    visitor(core_name(layer, Role::up), b_, Role::frozen);
    visitor(core_name(layer, Role::inner), core_, Role::inner);
  }

 private:
  Options options_;
  Variable<T, D> weight_, a_, b_, core_;
};

}  // namespace loru::inline LORU_ISA::nn
