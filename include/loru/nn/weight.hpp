#pragma once
// A layer's weight and how it is parametrised. A layer asks its weight for products and never for its parts, so that
// changing the parametrisation changes no layer.

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// A way to parametrise a weight of shape (m, n) or (Cout, Cin / groups, kh, kw).
template <class T, class D = Cpu>
class Parametrisation {
 public:
  virtual ~Parametrisation() = default;
  virtual std::unique_ptr<Parametrisation> clone() const = 0;
  virtual Shape shape() const = 0;
  /// Of its factors; 0 for a weight without any.
  virtual Index rank() const { return 0; }
  /// The weight as a variable that depends on the parameters.
  virtual Variable<T, D> compose() const = 0;
  /// x·Wᵀ.
  virtual Variable<T, D> linear(const Variable<T, D>& x, Pass&) const { return loru::linear(x, compose()); }
  /// W ⋆ x.
  virtual Variable<T, D> conv2d(const Variable<T, D>& x, const ConvOptions& o, Pass&) const {
    return loru::conv2d(x, compose(), o);
  }
  /// Shows the parameters under the layer's name.
  virtual void visit(const Visitor<T, D>& visitor, const std::string& layer) = 0;
};

/// The weight itself.
template <class T, class D = Cpu>
class Dense final : public Parametrisation<T, D> {
 public:
  explicit Dense(Tensor<T, D> weight) : weight_{std::move(weight), true} {}

  std::unique_ptr<Parametrisation<T, D>> clone() const override { return std::make_unique<Dense>(*this); }
  Shape shape() const override { return weight_.shape(); }
  Variable<T, D> compose() const override { return weight_; }
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
  Variable<T, D> linear(const Variable<T, D>& x, Pass& pass) const { return rule_->linear(x, pass); }
  Variable<T, D> conv2d(const Variable<T, D>& x, const ConvOptions& o, Pass& pass) const {
    return rule_->conv2d(x, o, pass);
  }

  /// The effective weight.
  Tensor<T, D> effective() const {
    NoGrad guard;
    return rule_->compose().value();
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

}  // namespace loru::nn
