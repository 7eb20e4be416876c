#pragma once
// The low-rank parametrisation W + s·B·A.

#include <loru/nn/weight.hpp>

namespace loru::inline LORU_ISA::nn {

/// One product with a factored weight: M rows, n in, m out, rank r, and whether dx is needed. For a convolution
/// M = N·Ho·Wo, n = Cin·kh·kw, and what decides how it is computed.
struct LowRankProblem {
  Index rows = 0, in = 0, out = 0, rank = 0;
  bool input_gradient = true;
  bool convolution = false;
  // of a convolution
  Index kernel = 1, stride = 1, padding = 0, dilation = 1;  // kernel 0: not square
  Index height = 1, width = 1;                              // H, W of x
  bool single = true;                                       // the scalar is float
};

/// Chooses the graph of a product; a pure function, so that one seed gives one model.
using PlanRule = std::function<Plan(const LowRankProblem&)>;

/// W + s·B·A with s = alpha / r: W (m, n) frozen, A (r, n), B (m, r) trained. For a convolution A has shape
/// (r, Cin, kh, kw). Dropout acts on S = x·Aᵀ in training and then forces the factored graph.
/// Source: Park and Klabjan, arXiv 2409.12371; Hu et al., LoRA, arXiv 2106.09685.
template <class T, class D = Cpu>
class Factored final : public Parametrisation<T, D> {
 public:
  struct Options {
    double alpha = 1.0;
    double dropout = 0.0;
    PlanRule plan = [](const LowRankProblem&) { return Plan::composed; };
  };

  /// Throws ShapeError unless a (r, n) and b (m, r) fit w (m, n).
  Factored(Tensor<T, D> w, Tensor<T, D> a, Tensor<T, D> b, Options options)
      : options_{std::move(options)}, weight_{std::move(w)}, a_{std::move(a), true}, b_{std::move(b), true} {
    loru::detail::factor_rank("factored weight", weight_.value(), a_.value(), b_.value());
  }

  /// Of variables, which may depend on others.
  Factored(Variable<T, D> w, Variable<T, D> a, Variable<T, D> b, Options options)
      : options_{std::move(options)}, weight_{std::move(w)}, a_{std::move(a)}, b_{std::move(b)} {
    loru::detail::factor_rank("factored weight", weight_.value(), a_.value(), b_.value());
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
    loru::detail::factor_rank("factored weight", weight_.value(), a, b);
    a_ = Variable<T, D>(std::move(a), true);
    b_ = Variable<T, D>(std::move(b), true);
  }

  Variable<T, D>& base() { return weight_; }
  Variable<T, D>& a() { return a_; }
  Variable<T, D>& b() { return b_; }

  Variable<T, D> compose() const override { return lowrank_compose(weight_, a_, b_, scale()); }

  Variable<T, D> linear(const Variable<T, D>& x, Pass& pass) const override {
    const LowRankProblem problem{.rows = x.shape()[0],
                                 .in = shape()[1],
                                 .out = shape()[0],
                                 .rank = rank(),
                                 .input_gradient = x.requires_grad(),
                                 .single = std::same_as<T, float>};
    if (!drops(pass)) return lowrank_linear(x, weight_, a_, b_, scale(), plan(problem));
    const auto low = loru::dropout(loru::linear(x, a_), options_.dropout, pass.next_dropout());
    return add(loru::linear(x, weight_), loru::scale(loru::linear(low, b_), factor()));
  }

  Variable<T, D> conv2d(const Variable<T, D>& x, const ConvOptions& o, Pass& pass) const override {
    const Shape w = shape(), y = conv_shape(x.shape(), w, o);
    const LowRankProblem problem{.rows = y[0] * y[2] * y[3],
                                 .in = w[1] * w[2] * w[3],
                                 .out = w[0],
                                 .rank = rank(),
                                 .input_gradient = x.requires_grad(),
                                 .convolution = true,
                                 .kernel = w[2] == w[3] ? w[2] : 0,
                                 .stride = o.stride,
                                 .padding = o.padding,
                                 .dilation = o.dilation,
                                 .height = x.shape()[2],
                                 .width = x.shape()[3],
                                 .single = std::same_as<T, float>};
    if (!drops(pass)) return lowrank_conv2d(x, weight_, a_, b_, scale(), o, plan(problem));
    const auto low = loru::dropout(loru::conv2d(x, a_, o), options_.dropout, pass.next_dropout());
    const auto up = reshape(b_, {w[0], rank(), 1, 1});
    return add(loru::conv2d(x, weight_, o), loru::scale(loru::conv2d(low, up, {}), factor()));
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(factor_name(layer, Role::down), a_, Role::down);
    visitor(factor_name(layer, Role::up), b_, Role::up);
  }

 private:
  bool drops(const Pass& pass) const { return pass.training && options_.dropout > 0.0; }
  T factor() const { return T(static_cast<Real<T>>(scale())); }
  Plan plan(const LowRankProblem& problem) const { return options_.plan(problem); }

  Options options_;
  Variable<T, D> weight_, a_, b_;
};

#ifdef LORU_COMPILED
extern template class Factored<float>;
extern template class Factored<double>;
#endif

}  // namespace loru::nn
