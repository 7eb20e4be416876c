#pragma once
// Self-attention layer.

#include <array>

#include <loru/nn/cache.hpp>
#include <loru/nn/linear.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::nn {

struct SelfAttentionOptions {
  Index width = 1, heads = 1;
  /// Heads of keys and values; they divide the heads.
  Index groups = 1;
  bool bias = true, causal = false;
  Init init = Init::kaiming;
  /// Names of the layers of queries, keys, values and the output.
  std::array<std::string, 4> names{"q_proj", "k_proj", "v_proj", "o_proj"};
};

/// Angles of rotary positions: row p has cos(p·θ^(−2j/width)) for j < width / 2, then the sines. Computed in
/// double. Source: Su et al., arXiv 2104.09864.
template <class T, class D = Cpu>
Tensor<T, D> rotary_table(Index positions, Index width, double theta) {
  Tensor<T> table({positions, width});
  for (Index j = 0; j < width / 2; ++j) {
    const double turn = std::pow(theta, -2.0 * static_cast<double>(j) / static_cast<double>(width));
    for (Index p = 0; p < positions; ++p) {
      const double angle = static_cast<double>(p) * turn;
      table.data()[p * width + j] = T(static_cast<Real<T>>(std::cos(angle)));
      table.data()[p * width + width / 2 + j] = T(static_cast<Real<T>>(std::sin(angle)));
    }
  }
  return to_device<D>(table);
}

/// y = attention(x·W_qᵀ, x·W_kᵀ, x·W_vᵀ)·W_oᵀ, each product with its bias, over the sequences of the pass;
/// the softmax's scale is 1 / √(width / heads). With a rotary table queries and keys are turned by their
/// positions. The products are Linear layers, so that each may have factors.
template <class T, class D = Cpu>
class SelfAttention final : public Module<T, D> {
 public:
  /// Throws ShapeError unless the heads divide the width and the groups the heads.
  SelfAttention(const SelfAttentionOptions& o, const rng::Stream& stream, Tensor<T, D> rotary = {})
      : options_{o},
        rotary_{std::move(rotary)},
        query_{{o.width, o.width, o.bias, o.init}, stream.fork(0)},
        key_{{o.width, key_width(o), o.bias, o.init}, stream.fork(1)},
        value_{{o.width, key_width(o), o.bias, o.init}, stream.fork(2)},
        output_{{o.width, o.width, o.bias, o.init}, stream.fork(3)} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    const Sequences& s = sequences_of(pass, "attention");
    return attend(x, x, s, s, pass);
  }

  /// Queries of some rows alone, `rows` of x in `queries` (one stretch a sequence); keys and values of all.
  Variable<T, D> forward_rows(const Variable<T, D>& x, const Variable<T, D>& rows, const Sequences& queries,
                              Pass& pass) {
    return attend(rows, x, queries, sequences_of(pass, "attention"), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    query_.visit(visitor, join_name(prefix, options_.names[0]));
    key_.visit(visitor, join_name(prefix, options_.names[1]));
    value_.visit(visitor, join_name(prefix, options_.names[2]));
    output_.visit(visitor, join_name(prefix, options_.names[3]));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<SelfAttention>(*this); }

 private:
  static Index key_width(const SelfAttentionOptions& o) {
    require<ShapeError>(o.heads > 0 && o.groups > 0 && o.width % o.heads == 0 && o.heads % o.groups == 0,
                        "attention: expected heads that divide the width ", o.width,
                        " and groups that divide the heads, got ", o.heads, " heads in ", o.groups,
                        " groups");
    return o.width / o.heads * o.groups;
  }

  Variable<T, D> attend(const Variable<T, D>& rows, const Variable<T, D>& x, const Sequences& queries,
                        const Sequences& keys, Pass& pass) {
    Variable<T, D> q = query_.forward(rows, pass), k = key_.forward(x, pass);
    const Variable<T, D> v = value_.forward(x, pass);
    if (rotary_) {
      q = loru::rotary(std::move(q), rotary_, queries);
      k = loru::rotary(std::move(k), rotary_, keys);
    }
    if (auto* cache = cache_of<T, D>(pass))
      if constexpr (std::same_as<D, Cpu>) {
        require<ConfigError>(options_.causal, "attention: expected a causal one to go on from a cache");
        const auto all = cache->extend(this, k.value(), v.value(), keys);
        return finish(q, Variable<T, D>(all.keys), Variable<T, D>(all.values), queries,
                      {{0, all.keys.dim(0)}}, pass);
      }
    return finish(q, k, v, queries, keys, pass);
  }

  Variable<T, D> finish(const Variable<T, D>& q, const Variable<T, D>& k, const Variable<T, D>& v,
                        const Sequences& queries, const Sequences& keys, Pass& pass) {
    const double width = static_cast<double>(options_.width / options_.heads);
    const AttentionOptions o{options_.heads, options_.groups, options_.causal, 1.0 / std::sqrt(width)};
    return output_.forward(attention(q, k, v, queries, keys, o), pass);
  }

  SelfAttentionOptions options_;
  Tensor<T, D> rotary_;
  Linear<T, D> query_, key_, value_, output_;
};

}  // namespace loru::inline LORU_ISA::nn
