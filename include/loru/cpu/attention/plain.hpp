#pragma once
// Attention row by row, for dual numbers: slow, and memory for one row of the softmax alone.

#include <cmath>
#include <vector>

#include <loru/cpu/elementwise.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA::cpu {

/// f(query row, its key rows [first, last), head, head of keys) for every query and head, in order.
template <class F>
void for_each_query(const detail::AttentionShape& s, const Sequences& queries, const Sequences& keys,
                    bool causal, F f) {
  for (Index i = 0; i < queries.count(); ++i)
    for (Index row = queries.first(i); row < queries.first(i + 1); ++row)
      for (Index head = 0; head < s.heads; ++head) {
        const Index hidden = causal ? queries.first(i + 1) - row - 1 : 0;  // keys after the query
        f(row, keys.first(i), keys.first(i + 1) - hidden, head, head / (s.heads / s.groups));
      }
}

/// Σ a_j·b_j.
template <Scalar T>
T dot(const T* a, const T* b, Index n) {
  T sum = T(0);
  for (Index j = 0; j < n; ++j) sum += a[j] * b[j];
  return sum;
}

template <Scalar T>
AttentionFeatures<T> plain_attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                                     const Sequences& queries, const Sequences& keys,
                                     const AttentionOptions& o) {
  using std::exp;
  using std::log;
  const detail::AttentionShape s("attention", q, k, v, queries, keys, o);
  const T scale = T(static_cast<Real<T>>(o.scale));
  AttentionFeatures<T> f{Tensor<T>(q.shape()), Tensor<T>(Shape{q.dim(0), s.heads})};
  fill(f.y, T(0));
  for_each_query(
      s, queries, keys, o.causal, [&](Index row, Index first, Index last, Index head, Index group) {
        const auto at = [&](Index key) { return (key * s.groups + group) * s.width; };
        const Index mine = (row * s.heads + head) * s.width;
        std::vector<T> p;
        T most = T(0), sum = T(0);
        for (Index key = first; key < last; ++key) {
          p.push_back(scale * dot(q.data() + mine, k.data() + at(key), s.width));
          if (key == first || p.back() > most) most = p.back();
        }
        for (T& x : p) sum += x = exp(x - most);
        for (Index key = first; key < last; ++key)
          for (Index j = 0; j < s.width; ++j)
            f.y.data()[mine + j] += p[static_cast<std::size_t>(key - first)] / sum * v.data()[at(key) + j];
        f.log_sum.data()[row * s.heads + head] = most + log(sum);
      });
  return f;
}

template <Scalar T>
AttentionGradients<T> plain_attention_backward(const Tensor<T>& dy, const Tensor<T>& q, const Tensor<T>& k,
                                               const Tensor<T>& v, const AttentionFeatures<T>& kept,
                                               const Sequences& queries, const Sequences& keys,
                                               const AttentionOptions& o) {
  using std::exp;
  const detail::AttentionShape s("attention_backward", q, k, v, queries, keys, o);
  const T scale = T(static_cast<Real<T>>(o.scale));
  AttentionGradients<T> d{Tensor<T>(q.shape()), Tensor<T>(k.shape()), Tensor<T>(k.shape())};
  for (Tensor<T>* t : {&d.dq, &d.dk, &d.dv}) fill(*t, T(0));
  for_each_query(
      s, queries, keys, o.causal, [&](Index row, Index first, Index last, Index head, Index group) {
        const Index mine = (row * s.heads + head) * s.width;
        const T *g = dy.data() + mine, *query = q.data() + mine;
        const T along = dot(g, kept.y.data() + mine, s.width);
        for (Index key = first; key < last; ++key) {
          const Index at = (key * s.groups + group) * s.width;
          const T p =
              exp(scale * dot(query, k.data() + at, s.width) - kept.log_sum.data()[row * s.heads + head]);
          const T ds = scale * p * (dot(g, v.data() + at, s.width) - along);
          for (Index j = 0; j < s.width; ++j) {
            d.dq.data()[mine + j] += ds * k.data()[at + j];
            d.dk.data()[at + j] += ds * query[j];
            d.dv.data()[at + j] += p * g[j];
          }
        }
      });
  return d;
}

}  // namespace loru::inline LORU_ISA::cpu
