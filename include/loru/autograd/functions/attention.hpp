#pragma once
// Attention over packed sequences of variables, and rotary positions.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y = softmax(scale · q·kᵀ)·v per sequence and head: q and y (M, heads · w), k and v (Mk, groups · w). The
/// backward pass computes the softmax again from the logarithm of its sums.
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> attention(const Variable<T, D>& q, const Variable<T, D>& k, const Variable<T, D>& v,
                         const Sequences& queries, const Sequences& keys, const AttentionOptions& o) {
  const AttentionFeatures<T, D> f = attention(q.value(), k.value(), v.value(), queries, keys, o);
  return {"attention", f.y, {q, k, v}, [q, k, v, f, queries, keys, o](const Tensor<T, D>& dy) {
            const AttentionWanted wanted{q.requires_grad(), k.requires_grad(), v.requires_grad()};
            auto d = attention_backward(dy, q.value(), k.value(), v.value(), f, queries, keys, o, wanted);
            if (wanted.dq) q.accumulate(std::move(d.dq));
            if (wanted.dk) k.accumulate(std::move(d.dk));
            if (wanted.dv) v.accumulate(std::move(d.dv));
          }};
}

/// Turns the pairs (x_j, x_{j+w/2}) of each head of width w by the angles of the row's position: x (M,
/// heads · w), table (positions, w). In place of a temporary x, if nothing else shares its buffer.
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> rotary(Variable<T, D> x, const Tensor<T, D>& table, const Sequences& sequences) {
  const Tensor<T, D> y = x.exclusive() ? rotary(std::exchange(x.mutable_value(), {}), table, sequences, false)
                                       : rotary(x.value(), table, sequences, false);
  if (!x.value()) x.mutable_value() = y;  // the shape of its gradient
  return {"rotary", y, {x}, [x, table, sequences](Tensor<T, D> dy) {
            x.accumulate(rotary(std::move(dy), table, sequences, true));
          }};
}

}  // namespace loru::inline LORU_ISA
