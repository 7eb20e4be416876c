#pragma once
// Attention in blocks of keys and queries.

#include <loru/cpu/attention/backward.hpp>
#include <loru/cpu/attention/forward.hpp>

namespace loru::inline LORU_ISA {

template <std::floating_point T>
AttentionFeatures<T> attention(const Tensor<T>& q, const Tensor<T>& k, const Tensor<T>& v,
                               const Sequences& queries, const Sequences& keys, const AttentionOptions& o) {
  const detail::AttentionShape s("attention", q, k, v, queries, keys, o);
  AttentionFeatures<T> f{Tensor<T>(q.shape()), Tensor<T>(Shape{q.dim(0), s.heads})};
  T *y = f.y.data(), *log_sum = f.log_sum.data();
  parallel_for(queries.count() * s.groups, [&, y, log_sum](Index i) {
    const cpu::HeadPlace place(s, queries, keys, o.causal, i / s.groups);
    if (place.queries > 0)
      cpu::attend(place, i % s.groups, static_cast<T>(o.scale), q.data(), k.data(), v.data(), y, log_sum);
  });
  return f;
}

template <std::floating_point T>
AttentionGradients<T> attention_backward(const Tensor<T>& dy, const Tensor<T>& q, const Tensor<T>& k,
                                         const Tensor<T>& v, const AttentionFeatures<T>& kept,
                                         const Sequences& queries, const Sequences& keys,
                                         const AttentionOptions& o, AttentionWanted wanted) {
  const detail::AttentionShape s("attention_backward", q, k, v, queries, keys, o);
  detail::check_attention_backward("attention_backward", dy, q, kept, s.heads);
  AttentionGradients<T> d;
  if (wanted.dq) d.dq = Tensor<T>(q.shape());
  if (wanted.dk) d.dk = Tensor<T>(k.shape());
  if (wanted.dv) d.dv = Tensor<T>(k.shape());
  const cpu::AttentionGradientsOf<T> to{d.dq.data(), d.dk.data(), d.dv.data()};
  parallel_for(queries.count() * s.groups, [&](Index i) {
    const cpu::HeadPlace place(s, queries, keys, o.causal, i / s.groups);
    cpu::AttentionBackward<T>(place, i % s.groups, static_cast<T>(o.scale), k.data(), v.data())
        .run(q.data(), dy.data(), kept.y.data(), kept.log_sum.data(), to);
  });
  return d;
}

}  // namespace loru::inline LORU_ISA
