#pragma once
// Cross-entropy of features under a wide head, without all logits at once, on host tensors.

#include <algorithm>
#include <concepts>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/core/compiled.hpp>
#include <loru/cpu/dual.hpp>
#include <loru/cpu/elementwise.hpp>
#include <loru/ops/sequence.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

inline void check_targets(const char* where, const Tensor<std::int32_t>& targets, Index classes) {
  for (Index i = 0; i < targets.size(); ++i)
    if (targets.data()[i] != no_target && (targets.data()[i] < 0 || targets.data()[i] >= classes))
      detail::fail_label(where, targets.data()[i], i, classes);
}

/// Row by row, for dual numbers: logits z of row i, one row at a time.
template <Scalar T, class F>
void for_each_logits(const Tensor<T>& h, const Tensor<T>& w, const Tensor<std::int32_t>& targets, F f) {
  const Index d = w.dim(1), classes = w.dim(0);
  std::vector<T> z(static_cast<std::size_t>(classes));
  for (Index i = 0; i < h.dim(0); ++i) {
    if (targets.data()[i] == no_target) continue;
    for (Index c = 0; c < classes; ++c) {
      T sum = T(0);
      for (Index j = 0; j < d; ++j) sum += h.data()[i * d + j] * w.data()[c * d + j];
      z[static_cast<std::size_t>(c)] = sum;
    }
    f(i, targets.data()[i], z);
  }
}

/// Zero, of the shapes of a token loss.
template <Scalar T>
TokenLoss<T> no_loss(const Shape& h, bool slope) {
  TokenLoss<T> r{Tensor<T>(Shape{h[0], 2}), Tensor<T>(Shape{h[0]}), slope ? Tensor<T>(h) : Tensor<T>()};
  fill(r.values, T(0));
  fill(r.log_sum, T(0));
  if (slope) fill(r.slope, T(0));
  return r;
}

}  // namespace cpu

/// Row i of h (M, d) has the logits z = w·h_i of the head w (V, d), the loss log Σ e^z − z[target] and a hit
/// if the first of the largest logits is the target's: values (M, 2). A row whose target is no_target has
/// neither. The head is read in blocks of classes with a running maximum and sum, so that all logits are
/// never held. With `slope` the same pass gives each row's derivative softmax(z)·w − w[target]. Throws
/// ShapeError.
template <std::floating_point T>
TokenLoss<T> token_loss(const Tensor<T>& h, const Tensor<T>& w, const Tensor<std::int32_t>& targets,
                        bool slope);

/// The same with a head in blocks, of which a block of classes is decoded at a time.
LORU_INLINE TokenLoss<float> token_loss(const Tensor<float>& h, const BlockTensor& w,
                                        const Tensor<std::int32_t>& targets, bool slope);

/// dh = dvalues[:, 0] ⊙ slope where the slope was kept, and with `dw` dw = (softmax(z) − onehot)ᵀ·(dvalues[:,
/// 0] ⊙ h) with the logits computed again. Hits have no derivative. Throws ShapeError.
template <std::floating_point T>
TokenLossGradients<T> token_loss_backward(const Tensor<T>& dvalues, const Tensor<T>& h, const Tensor<T>& w,
                                          const Tensor<std::int32_t>& targets, const TokenLoss<T>& kept,
                                          bool dw);

/// The same under a head in blocks, which is a constant: `dw` has to be false.
LORU_INLINE TokenLossGradients<float> token_loss_backward(const Tensor<float>& dvalues,
                                                          const Tensor<float>& h, const BlockTensor& w,
                                                          const Tensor<std::int32_t>& targets,
                                                          const TokenLoss<float>& kept, bool dw);

/// The same on dual numbers: values of the real op, tangents row by row.
template <std::floating_point T>
TokenLoss<Dual<T>> token_loss(const Tensor<Dual<T>>& h, const Tensor<Dual<T>>& w,
                              const Tensor<std::int32_t>& targets, bool slope) {
  using S = Dual<T>;
  const TokenLoss<T> real = token_loss(split(h).value, split(w).value, targets, slope);
  auto r = cpu::no_loss<S>(h.shape(), slope);
  const Index d = h.dim(1);
  cpu::for_each_logits(h, w, targets, [&](Index i, std::int32_t target, const std::vector<S>& z) {
    const S most = *std::max_element(z.begin(), z.end());
    S sum(T(0));
    for (const S& x : z) sum += exp(x - most);
    r.log_sum.data()[i] = most + log(sum);
    r.values.data()[2 * i] = r.log_sum.data()[i] - z[static_cast<std::size_t>(target)];
    for (std::size_t c = 0; slope && c < z.size(); ++c) {
      const S p = exp(z[c] - r.log_sum.data()[i]) - S(c == static_cast<std::size_t>(target) ? T(1) : T(0));
      for (Index j = 0; j < d; ++j) r.slope.data()[i * d + j] += p * w.data()[static_cast<Index>(c) * d + j];
    }
  });
  r.values = cpu::with_values(real.values, r.values);
  r.log_sum = cpu::with_values(real.log_sum, r.log_sum);
  if (slope) r.slope = cpu::with_values(real.slope, r.slope);
  return r;
}

template <std::floating_point T>
TokenLossGradients<Dual<T>> token_loss_backward(const Tensor<Dual<T>>& dvalues, const Tensor<Dual<T>>& h,
                                                const Tensor<Dual<T>>& w, const Tensor<std::int32_t>& targets,
                                                const TokenLoss<Dual<T>>& kept, bool dw) {
  using S = Dual<T>;
  const TokenLoss<T> real_kept{split(kept.values).value, split(kept.log_sum).value,
                               kept.slope ? split(kept.slope).value : Tensor<T>()};
  const auto real =
      token_loss_backward(split(dvalues).value, split(h).value, split(w).value, targets, real_kept, dw);
  TokenLossGradients<S> g;
  const Index d = h.dim(1);
  if (kept.slope) {
    g.dh = clone(kept.slope);
    for (Index i = 0; i < g.dh.size(); ++i) g.dh.data()[i] *= dvalues.data()[i / d * 2];
    g.dh = cpu::with_values(real.dh, g.dh);
  }
  if (!dw) return g;
  g.dw = Tensor<S>(w.shape());
  fill(g.dw, S(T(0)));
  cpu::for_each_logits(h, w, targets, [&](Index i, std::int32_t target, const std::vector<S>& z) {
    for (std::size_t c = 0; c < z.size(); ++c) {
      const S p = exp(z[c] - kept.log_sum.data()[i]) - S(c == static_cast<std::size_t>(target) ? T(1) : T(0));
      for (Index j = 0; j < d; ++j)
        g.dw.data()[static_cast<Index>(c) * d + j] += p * dvalues.data()[2 * i] * h.data()[i * d + j];
    }
  });
  g.dw = cpu::with_values(real.dw, g.dw);
  return g;
}

}  // namespace loru::inline LORU_ISA

#ifndef LORU_COMPILED
#include <loru/cpu/token_loss_bodies.hpp>
#endif
