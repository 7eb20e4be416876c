#pragma once
// The low-rank parametrisation with one factor of each product fixed, so that means over clients are exact.

#include <loru/nn/factored.hpp>
#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::nn {

/// W + s·(B·A_0 + B_0·A) with s = alpha / r: A (r, n) and B (m, r) are trained and begin at zero; W (m, n),
/// A_0 (r, n) and B_0 (m, r) stand still. It is linear in (A, B), and its update has rank up to 2·r. A and
/// A_0 of a convolution keep its window. A_0 and B_0 are uniform within ±bound. Each number has its own
/// pair, a pure function of the stream: whoever has the stream knows them. Computed as W + s·[B, B_0]·[A_0;
/// A], in the graph that the plan chooses for rank 2·r. Source: Li et al. (FedMUD, aggregation-aware
/// decomposition), arXiv 2505.23176.
template <class T, class D = Cpu>
class AggregationAware final : public Parametrisation<T, D> {
 public:
  using Options = typename Factored<T, D>::Options;
  /// A_0 and B_0.
  struct Fixed {
    Tensor<T, D> a, b;
  };

  /// With the fixed factors of number 0.
  AggregationAware(Variable<T, D> w, Index rank, Options options, double bound, const rng::Stream& stream)
      : options_{std::move(options)}, bound_{bound}, stream_{stream}, rank_{rank}, weight_{std::move(w)} {
    const Fixed drawn = fixed(0);
    a0_ = Variable<T, D>(drawn.a);
    b0_ = Variable<T, D>(drawn.b);
    a_ = Variable<T, D>(zero(drawn.a.shape(), drawn.a.layout()), true);
    b_ = Variable<T, D>(zero(drawn.b.shape(), drawn.b.layout()), true);
    a_place_ = zero(rows_of(2 * rank), drawn.a.layout());
    b_place_ = zero({drawn.b.dim(0), 2 * rank}, Layout::row_major);
    for (const Index half : {0, 1}) {
      Tensor<T> rows = constant<T>({2 * rank, rank}, 0.0), columns = constant<T>({rank, 2 * rank}, 0.0);
      for (Index k = 0; k < rank; ++k)
        rows.data()[(half * rank + k) * rank + k] = columns.data()[k * 2 * rank + half * rank + k] = T(1);
      rows_[static_cast<std::size_t>(half)] = to_device<D>(rows);
      columns_[static_cast<std::size_t>(half)] = to_device<D>(columns);
    }
  }

  AggregationAware(Tensor<T, D> w, Index rank, Options options, double bound, const rng::Stream& stream)
      : AggregationAware(Variable<T, D>(std::move(w)), rank, std::move(options), bound, stream) {}

  std::unique_ptr<Parametrisation<T, D>> clone() const override {
    return std::make_unique<AggregationAware>(*this);
  }
  Shape shape() const override { return weight_.shape(); }
  Index rank() const override { return rank_; }
  double alpha() const { return options_.alpha; }
  double dropout() const { return options_.dropout; }
  double scale() const { return options_.alpha / static_cast<double>(rank_); }
  const PlanRule& plan_rule() const { return options_.plan; }
  void set_plan(PlanRule rule) { options_.plan = std::move(rule); }

  Variable<T, D>& base() { return weight_; }
  Variable<T, D>& a() { return a_; }
  Variable<T, D>& b() { return b_; }

  /// The fixed factors of a number.
  Fixed fixed(Index number) const {
    const rng::Stream own = stream_.fork(static_cast<std::uint32_t>(number));
    const Layout layout = weight_.layout();
    return {to_device<D>(to_layout(uniform<T>(rows_of(rank_), bound_, own.fork(0)), layout)),
            to_device<D>(uniform<T>({shape()[0], rank_}, bound_, own.fork(1)))};
  }

  /// A and B are zero and the fixed factors those of the number.
  void restart(Index number) {
    const Fixed drawn = fixed(number);
    a0_.set_value(drawn.a);
    b0_.set_value(drawn.b);
    a_.set_value(zero(drawn.a.shape(), drawn.a.layout()));
    b_.set_value(zero(drawn.b.shape(), drawn.b.layout()));
  }

  /// W + c·(B·A_0 + B_0·A) with the fixed factors of the number.
  Tensor<T, D> merged(const Tensor<T, D>& w, const Tensor<T, D>& a, const Tensor<T, D>& b, double c,
                      Index number) const {
    const Fixed drawn = fixed(number);
    return lowrank_compose(lowrank_compose(w, drawn.a, b, c), a, drawn.b, c);
  }

  WeightForm<T, D> form() const override {
    using V = Variable<T, D>;
    const V upper = lowrank_compose(V(a_place_), a0_, V(rows_[0]), 1.0);
    const V left = lowrank_compose(V(b_place_), V(columns_[0]), b_, 1.0);
    return {weight_,
            lowrank_compose(upper, a_, V(rows_[1]), 1.0),
            lowrank_compose(left, V(columns_[1]), b0_, 1.0),
            scale(),
            options_.dropout,
            &options_.plan};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& layer) override {
    visitor(weight_name(layer), weight_, Role::frozen);
    visitor(aad_name(layer, Role::down, true), a0_, Role::frozen);
    visitor(aad_name(layer, Role::up, true), b0_, Role::frozen);
    visitor(aad_name(layer, Role::down, false), a_, Role::down);
    visitor(aad_name(layer, Role::up, false), b_, Role::up);
  }

 private:
  /// The weight's shape with another number of rows.
  Shape rows_of(Index rows) const {
    const Shape w = shape();
    return w.rank() == 4 ? Shape{rows, w[1], w[2], w[3]} : Shape{rows, w[1]};
  }
  static Tensor<T, D> zero(const Shape& shape, Layout layout) {
    Tensor<T, D> t(shape, layout);
    fill(t, T(0));
    return t;
  }

  Options options_;
  double bound_;
  rng::Stream stream_;
  Index rank_;
  Variable<T, D> weight_, a_, b_, a0_, b0_;
  // [A_0; A] = place + rows_0·A_0 + rows_1·A, and [B, B_0] = place + B·columns_0 + B_0·columns_1: a place is
  // zero, rows and columns are zero but for an identity in one half.
  Tensor<T, D> a_place_, b_place_;
  std::array<Tensor<T, D>, 2> rows_, columns_;
};

}  // namespace loru::inline LORU_ISA::nn
