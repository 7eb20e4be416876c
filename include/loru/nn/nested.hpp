#pragma once
// The low-rank parametrisation whose factors are themselves trained by low-rank updates.

#include <loru/nn/factored.hpp>

namespace loru::inline LORU_ISA::nn {

/// W + s·B_eff·A_eff with A_eff = A + A_d·A_u and B_eff = B + B_u·B_d: W (m, n), A (r, n) and B (m, r) stand
/// still, A_d (r, r_k), A_u (r_k, n), B_u (m, r_k), B_d (r_k, r) are trained, r_k·(m + n + 2·r) numbers. s =
/// alpha / r. A and A_u of a convolution keep its window.
/// Source: Park and Klabjan (mFedLoRU), arXiv 2409.12371.
template <class T, class D = Cpu>
class Nested final : public Parametrisation<T, D> {
 public:
  struct Inner {
    Tensor<T, D> a_down, a_up, b_up, b_down;
  };

  /// Nests in the outer factors, which then stand still. Throws ShapeError unless the inner ones fit them.
  Nested(Factored<T, D>& outer, const Inner& inner)
      : options_{outer.options()},
        weight_{outer.base()},
        a_{outer.a().value()},
        b_{outer.b().value()},
        a_down_{inner.a_down, true},
        a_up_{inner.a_up, true},
        b_up_{inner.b_up, true},
        b_down_{inner.b_down, true} {
    loru::detail::factor_rank("nested factor A", a_.value(), inner.a_up, inner.a_down);
    loru::detail::factor_rank("nested factor B", b_.value(), inner.b_down, inner.b_up);
  }

  std::unique_ptr<Parametrisation<T, D>> clone() const override { return std::make_unique<Nested>(*this); }
  Shape shape() const override { return weight_.shape(); }
  /// r, of the outer factors.
  Index rank() const override { return a_.shape()[0]; }
  Index inner_rank() const { return a_up_.shape()[0]; }
  double alpha() const { return options_.alpha; }

  Variable<T, D>& base() { return weight_; }
  /// A_eff and B_eff.
  Variable<T, D> a() const { return lowrank_compose(a_, a_up_, a_down_, 1.0); }
  Variable<T, D> b() const { return lowrank_compose(b_, b_down_, b_up_, 1.0); }

  /// The outer factors with their present values, as factors that are trained again.
  Factored<T, D> outer() const {
    using loru::clone;  // not the member, and the device's own
    return {weight_.constant(), Variable<T, D>(clone(a_.value()), true),
            Variable<T, D>(clone(b_.value()), true), options_};
  }

  /// New outer and inner factors. Throws ShapeError if a shape differs.
  void set_factors(Tensor<T, D> a, Tensor<T, D> b, const Inner& inner) {
    a_.set_value(std::move(a));
    b_.set_value(std::move(b));
    a_down_.set_value(inner.a_down);
    a_up_.set_value(inner.a_up);
    b_up_.set_value(inner.b_up);
    b_down_.set_value(inner.b_down);
  }

  WeightForm<T, D> form() const override {
    return {weight_, a(), b(), alpha() / static_cast<double>(rank()), options_.dropout, &options_.plan};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(factor_name(layer, Role::down), a_, Role::down);
    visitor(factor_name(layer, Role::up), b_, Role::up);
    const auto inner = [&](Role of, Role part, Variable<T, D>& v) {
      visitor(inner_name(layer, of, part), v, Role::inner);
    };
    inner(Role::down, Role::down, a_down_);
    inner(Role::down, Role::up, a_up_);
    inner(Role::up, Role::up, b_up_);
    inner(Role::up, Role::down, b_down_);
  }

 private:
  typename Factored<T, D>::Options options_;
  Variable<T, D> weight_, a_, b_, a_down_, a_up_, b_up_, b_down_;
};

}  // namespace loru::inline LORU_ISA::nn
