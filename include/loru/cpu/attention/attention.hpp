#pragma once
// Attention over packed sequences on host tensors.

#include <concepts>

#include <loru/core/compiled.hpp>
#include <loru/cpu/attention/plain.hpp>
#include <loru/cpu/dual.hpp>

namespace loru::inline LORU_ISA {

/// Per sequence and head: y = softmax(scale · q·kᵀ)·v over the keys that a query may see, and the logarithm
/// of the softmax's sum. q (M, heads · w), k and v (Mk, groups · w) with the rows of `queries` and `keys`. In
/// blocks of 64 keys with a running maximum and sum, so that memory is linear in the length. A sequence's
/// bits do not depend on the others. Sources: Vaswani et al., arXiv 1706.03762; Dao et al. (FlashAttention),
/// arXiv 2205.14135. Throws ShapeError.
template <std::floating_point T>
AttentionFeatures<T> attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                               const Sequences& queries, const Sequences& keys, const AttentionOptions& o);

/// Backward pass of attention, with p computed again from the kept sums: dv = pᵀ·dy, ds = p ⊙ (dy·vᵀ − Σ dy ⊙
/// y), dq = scale · ds·k, dk = scale · dsᵀ·q. Throws ShapeError.
template <std::floating_point T>
AttentionGradients<T> attention_backward(const Tensor<T>& dy, const Tensor<T>& q, const Tensor<T>& k,
                                         const Tensor<T>& v, const AttentionFeatures<T>& kept,
                                         const Sequences& queries, const Sequences& keys,
                                         const AttentionOptions& o, AttentionWanted wanted);

/// The same on dual numbers: values of the real op, tangents row by row.
template <std::floating_point T>
AttentionFeatures<Dual<T>> attention(const Tensor<Dual<T>>& q, const Tensor<Dual<T>>& k,
                                     const Tensor<Dual<T>>& v, const Sequences& queries,
                                     const Sequences& keys, const AttentionOptions& o) {
  const auto real = attention(split(q).value, split(k).value, split(v).value, queries, keys, o);
  auto dual = cpu::plain_attention(q, k, v, queries, keys, o);
  return {cpu::with_values(real.y, dual.y), cpu::with_values(real.log_sum, dual.log_sum)};
}

template <std::floating_point T>
AttentionGradients<Dual<T>> attention_backward(const Tensor<Dual<T>>& dy, const Tensor<Dual<T>>& q,
                                               const Tensor<Dual<T>>& k, const Tensor<Dual<T>>& v,
                                               const AttentionFeatures<Dual<T>>& kept,
                                               const Sequences& queries, const Sequences& keys,
                                               const AttentionOptions& o, AttentionWanted wanted) {
  const auto real =
      attention_backward(split(dy).value, split(q).value, split(k).value, split(v).value,
                         {split(kept.y).value, split(kept.log_sum).value}, queries, keys, o, wanted);
  auto dual = cpu::plain_attention_backward(dy, q, k, v, kept, queries, keys, o);
  AttentionGradients<Dual<T>> d;
  if (wanted.dq) d.dq = cpu::with_values(real.dq, dual.dq);
  if (wanted.dk) d.dk = cpu::with_values(real.dk, dual.dk);
  if (wanted.dv) d.dv = cpu::with_values(real.dv, dual.dv);
  return d;
}

}  // namespace loru::inline LORU_ISA

#ifndef LORU_COMPILED
#include <loru/cpu/attention/attention_bodies.hpp>
#endif
