#pragma once
// A layer's weight and how it is parametrised. A weight says in which form its product is computed;
// linear_product.hpp and conv2d_product.hpp compute it. So a new parametrisation changes no layer, and a
// program without convolutions compiles none.

#include <loru/autograd/functions/lowrank.hpp>
#include <loru/nn/low_rank_problem.hpp>
#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// The form of a product with a weight of shape (m, n) or (Cout, Cin / groups, kh, kw), valid as long as the
/// weight is neither changed nor destroyed: W, or W + s·B·A.
template <class T, class D = Cpu>
struct WeightForm {
  Variable<T, D> w;
  Variable<T, D> a{}, b{};         ///< empty: W alone
  double scale = 1.0;              ///< s
  double dropout = 0.0;            ///< of S = x·Aᵀ in training, which forces the factored graph
  const PlanRule* plan = nullptr;  ///< chooses the graph; set where there are factors
};

/// The weight as one variable that depends on the parameters.
template <class T, class D>
Variable<T, D> compose(const WeightForm<T, D>& form) {
  return form.a ? lowrank_compose(form.w, form.a, form.b, form.scale) : form.w;
}

/// A way to parametrise a weight of shape (m, n) or (Cout, Cin / groups, kh, kw).
template <class T, class D = Cpu>
class Parametrisation {
 public:
  virtual ~Parametrisation() = default;
  virtual std::unique_ptr<Parametrisation> clone() const = 0;
  virtual Shape shape() const = 0;
  /// The rank of its factors; 0 for a weight without factors.
  virtual Index rank() const { return 0; }
  /// The weight as variables that are the parameters or depend on them.
  virtual WeightForm<T, D> form() const = 0;
  /// Shows the parameters under the layer's name.
  virtual void visit(const Visitor<T, D>& visitor, const std::string& layer) = 0;
};

/// The weight itself: a tensor, or a constant in blocks that takes its place (Variable::blocks).
template <class T, class D = Cpu>
class Dense final : public Parametrisation<T, D> {
 public:
  explicit Dense(Tensor<T, D> weight) : weight_{std::move(weight), true} {}

  std::unique_ptr<Parametrisation<T, D>> clone() const override { return std::make_unique<Dense>(*this); }
  Shape shape() const override { return weight_.shape(); }
  WeightForm<T, D> form() const override { return {.w = weight_}; }
  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_);
  }

 private:
  Variable<T, D> weight_;
};

/// The weight of a layer: any Parametrisation, as a value.
template <class T, class D = Cpu>
class Weight {
 public:
  template <std::derived_from<Parametrisation<T, D>> P>
  explicit Weight(P parametrisation) : rule_{std::make_unique<P>(std::move(parametrisation))} {}
  /// A dense weight.
  explicit Weight(Tensor<T, D> weight) : Weight(Dense<T, D>(std::move(weight))) {}
  Weight(const Weight& other) : rule_{other.rule_->clone()} {}
  Weight(Weight&&) noexcept = default;
  Weight& operator=(Weight other) noexcept {
    rule_ = std::move(other.rule_);
    return *this;
  }

  Shape shape() const { return rule_->shape(); }
  Index rank() const { return rule_->rank(); }
  WeightForm<T, D> form() const { return rule_->form(); }

  /// The effective weight.
  Tensor<T, D> effective() const { return constant().decoded(); }

  /// The same as a constant; that of a dense weight shares its tensor or its blocks.
  Variable<T, D> constant() const {
    NoGrad guard;
    return compose(rule_->form()).constant();
  }

  /// The parametrisation if it is a P, else null.
  template <class P>
  P* as() {
    return dynamic_cast<P*>(rule_.get());
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) {
    if (visitor.weight) visitor.weight(layer, *this);
    rule_->visit(visitor, layer);
  }

 private:
  std::unique_ptr<Parametrisation<T, D>> rule_;
};

}  // namespace loru::inline LORU_ISA::nn
