#pragma once
// The loss under a wide head in blocks of rows and classes.

#include <cmath>
#include <limits>

#include <loru/cpu/gemm/gemm.hpp>
#include <loru/cpu/packet_math.hpp>
#include <loru/cpu/token_loss.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Rows and classes of a block of logits: about half a megabyte of floats.
inline constexpr Index loss_rows = 336, loss_classes = 448;

/// The rows that have a target, packed.
template <class T>
struct TargetRows {
  std::vector<Index> rows;
  Tensor<T> features;  // (rows, d)

  TargetRows(const Tensor<T>& h, const Tensor<std::int32_t>& targets) {
    const Index d = h.dim(1);
    for (Index i = 0; i < h.dim(0); ++i)
      if (targets.data()[i] != no_target) rows.push_back(i);
    features = Tensor<T>(Shape{count(), d});
    for (Index i = 0; i < count(); ++i) {
      const T* from = h.data() + row(i) * d;
      std::copy(from, from + d, features.data() + i * d);
    }
  }
  Index count() const { return static_cast<Index>(rows.size()); }
  Index row(Index i) const { return rows[static_cast<std::size_t>(i)]; }
};

/// Rows of a head, where they stand.
template <class T>
class HeadRows {
 public:
  explicit HeadRows(const Tensor<T>& w) : w_{w} {}
  Index width() const { return w_.dim(1); }
  const T* operator()(Index first, Index) const { return w_.data() + first * width(); }

 private:
  const Tensor<T>& w_;
};

/// At most loss_classes rows of a head in blocks, decoded; valid until the next ones.
class DecodedRows {
 public:
  explicit DecodedRows(const BlockTensor& w)
      : w_{w}, rows_(Shape{std::min(loss_classes, w.dim(0)), w.dim(1)}) {}
  Index width() const { return w_.dim(1); }
  const float* operator()(Index first, Index count) {
    decode_rows(w_, first, count, rows_.data());
    return rows_.data();
  }

 private:
  const BlockTensor& w_;
  Tensor<float> rows_;
};

/// A block of rows on its way through the classes.
template <class T, class Head>
class LossBlock {
 public:
  LossBlock(const TargetRows<T>& rows, Head head, const Tensor<std::int32_t>& targets, Index first,
            Index count, bool slope)
      : rows_{rows},
        head_{std::move(head)},
        targets_{targets},
        first_{first},
        count_{count},
        d_{head_.width()},
        states_(static_cast<std::size_t>(count)),
        logits_(Shape{count, loss_classes}),
        mean_{slope ? Tensor<T>(Shape{count, d_}) : Tensor<T>()} {}

  /// Reads the logits of the classes [from, from + classes).
  void read(Index from, Index classes) {
    const Index wide = padded<T>(classes);
    const T* w = head_(from, classes);
    T* z = logits_.data();
    gemm<T>(Op::none, Op::transpose, count_, classes, d_, T(1), {rows_.features.data() + first_ * d_, d_},
            {w, d_}, T(0), {z, loss_classes});
    for (Index i = 0; i < count_; ++i, z += loss_classes) {
      std::fill(z + classes, z + wide, -std::numeric_limits<T>::infinity());
      advance(states_[static_cast<std::size_t>(i)], i, from, classes, wide, z);
    }
    if (mean_)
      gemm<T>(Op::none, Op::none, count_, d_, classes, T(1), {logits_.data(), loss_classes}, {w, d_},
              from == 0 ? T(0) : T(1), {mean_.data(), d_});
  }

  void finish(TokenLoss<T>& r) {
    for (Index i = 0; i < count_; ++i) {
      const State& s = states_[static_cast<std::size_t>(i)];
      const Index row = rows_.row(first_ + i), target = targets_.data()[row];
      r.log_sum.data()[row] = s.most + std::log(s.sum);
      r.values.data()[2 * row] = r.log_sum.data()[row] - s.of_target;
      r.values.data()[2 * row + 1] = s.best == target ? T(1) : T(0);
      if (!mean_) continue;
      const T share = T(1) / s.sum;
      const T* w = head_(target, 1);
      for (Index j = 0; j < d_; ++j) r.slope.data()[row * d_ + j] = share * mean_.data()[i * d_ + j] - w[j];
    }
  }

 private:
  struct State {
    T most = -std::numeric_limits<T>::infinity(), sum = T(0), of_target = T(0);
    Index best = -1;
  };

  /// One row's logits become e^(z − maximum); what was summed before is brought to the new maximum.
  void advance(State& s, Index i, Index from, Index classes, Index wide, T* z) {
    const Index target = targets_.data()[rows_.row(first_ + i)] - from;
    if (target >= 0 && target < classes) s.of_target = z[target];
    const T here = largest(wide, z);
    if (!(here > s.most)) {
      s.sum += exponentials(wide, s.most, z);
      return;
    }
    s.best = from + scalar::first_largest(z, classes);
    const T factor = std::exp(s.most - here);
    s.most = here;
    s.sum = s.sum * factor + exponentials(wide, here, z);
    if (!mean_ || from == 0) return;
    for (T *m = mean_.data() + i * d_, *end = m + d_; m < end; ++m) *m *= factor;
  }

  const TargetRows<T>& rows_;
  Head head_;
  const Tensor<std::int32_t>& targets_;
  Index first_, count_, d_;
  std::vector<State> states_;
  Tensor<T> logits_, mean_;  // (count, loss_classes), (count, d): Σ e^(z − maximum) · w
};

/// The loss under a head of which make_head() gives the rows, of shape (V, d).
template <class T, class F>
TokenLoss<T> token_loss(const Tensor<T>& h, const Shape& w, const Tensor<std::int32_t>& targets, bool slope,
                        F make_head) {
  detail::check_token_loss("token_loss", h.shape(), w, targets.shape());
  check_targets("token_loss", targets, w[0]);
  const TargetRows<T> rows(h, targets);
  TokenLoss<T> r = no_loss<T>(h.shape(), slope);
  parallel_blocks(rows.count(), loss_rows, [&](Index first, Index last) {
    LossBlock block(rows, make_head(), targets, first, last - first, slope);
    for (Index c = 0; c < w[0]; c += loss_classes) block.read(c, std::min(loss_classes, w[0] - c));
    block.finish(r);
  });
  return r;
}

/// dh = dvalues[:, 0] ⊙ slope; empty where the slope was not kept.
template <class T>
Tensor<T> loss_features(const Tensor<T>& dvalues, const Tensor<T>& h, const Shape& w,
                        const Tensor<std::int32_t>& targets, const TokenLoss<T>& kept) {
  detail::check_token_loss_backward("token_loss_backward", dvalues, h, w, targets.shape(), kept);
  if (!kept.slope) return {};
  Tensor<T> dh(h.shape());
  const T* by = dvalues.data();
  const Index d = h.dim(1);
  map_rows(h.dim(0), d, kept.slope.data(), dh.data(),
           [by, d](T v, Index at, Index) { return v * by[at / d * 2]; });
  return dh;
}

}  // namespace cpu

template <std::floating_point T>
TokenLoss<T> token_loss(const Tensor<T>& h, const Tensor<T>& w, const Tensor<std::int32_t>& targets,
                        bool slope) {
  return cpu::token_loss(h, w.shape(), targets, slope, [&] { return cpu::HeadRows<T>(w); });
}

LORU_INLINE TokenLoss<float> token_loss(const Tensor<float>& h, const BlockTensor& w,
                                        const Tensor<std::int32_t>& targets, bool slope) {
  return cpu::token_loss(h, w.shape, targets, slope, [&] { return cpu::DecodedRows(w); });
}

namespace cpu {

/// (softmax(z) − onehot) · dvalue of the classes [from, from + classes), for the rows [first, first + count):
/// p (count, loss_classes).
template <class T>
void loss_slopes(const TargetRows<T>& rows, const Tensor<T>& w, const Tensor<std::int32_t>& targets,
                 const Tensor<T>& log_sum, const T* dvalues, Index first, Index count, Index from,
                 Index classes, T* p) {
  const Index d = w.dim(1);
  gemm<T>(Op::none, Op::transpose, count, classes, d, T(1), {rows.features.data() + first * d, d},
          {w.data() + from * d, d}, T(0), {p, loss_classes});
  for (Index i = 0; i < count; ++i, p += loss_classes) {
    const Index row = rows.row(first + i), target = targets.data()[row] - from;
    const Index wide = padded<T>(classes);
    std::fill(p + classes, p + wide, T(0));
    exponentials(wide, log_sum.data()[row], p);
    if (target >= 0 && target < classes) p[target] -= T(1);
    for (Index c = 0; c < classes; ++c) p[c] *= dvalues[2 * row];
  }
}

}  // namespace cpu

template <std::floating_point T>
TokenLossGradients<T> token_loss_backward(const Tensor<T>& dvalues, const Tensor<T>& h, const Tensor<T>& w,
                                          const Tensor<std::int32_t>& targets, const TokenLoss<T>& kept,
                                          bool dw) {
  TokenLossGradients<T> g;
  g.dh = cpu::loss_features(dvalues, h, w.shape(), targets, kept);
  if (!dw) return g;
  const Index d = h.dim(1);
  const T* by = dvalues.data();
  g.dw = Tensor<T>(w.shape());
  const cpu::TargetRows<T> rows(h, targets);
  T* to = g.dw.data();
  parallel_blocks(w.dim(0), cpu::loss_classes, [&, to](Index from, Index last) {
    Tensor<T> p(Shape{std::min(cpu::loss_rows, rows.count()), cpu::loss_classes});
    std::fill(to + from * d, to + last * d, T(0));
    for (Index first = 0; first < rows.count(); first += cpu::loss_rows) {
      const Index count = std::min(cpu::loss_rows, rows.count() - first);
      cpu::loss_slopes(rows, w, targets, kept.log_sum, by, first, count, from, last - from, p.data());
      cpu::gemm<T>(Op::transpose, Op::none, last - from, d, count, T(1), {p.data(), cpu::loss_classes},
                   {rows.features.data() + first * d, d}, T(1), {to + from * d, d});
    }
  });
  return g;
}

LORU_INLINE TokenLossGradients<float> token_loss_backward(const Tensor<float>& dvalues,
                                                          const Tensor<float>& h, const BlockTensor& w,
                                                          const Tensor<std::int32_t>& targets,
                                                          const TokenLoss<float>& kept, bool dw) {
  require<ShapeError>(!dw, "token_loss_backward: a head in blocks has no gradient");
  return {cpu::loss_features(dvalues, h, w.shape, targets, kept), {}};
}

}  // namespace loru::inline LORU_ISA
