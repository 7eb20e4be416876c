#pragma once
// LLaMA, a decoder with rotary positions, root-mean-square norms and gated feed-forward blocks.

#include <loru/core/fields.hpp>
#include <loru/nn/embedding.hpp>
#include <loru/nn/feed_forward.hpp>
#include <loru/nn/row_norm.hpp>
#include <loru/nn/self_attention.hpp>
#include <loru/nn/token_head.hpp>

namespace loru::inline LORU_ISA::nn {

/// The shape of a LLaMA and its initial values. The defaults are those of SmolLM2 with 135 million
/// parameters.
struct LlamaOptions {
  Index vocabulary = 49152, positions = 2048, width = 576, layers = 30, heads = 9, groups = 3,
        feed_forward = 1536;
  double theta = 1e5;
  double epsilon = 1e-5;
  bool tied = true;
  std::uint64_t seed = 1;
  bool drawn = true;  ///< else all matrices have no elements until values from elsewhere are set

  static constexpr auto fields() {
    using L = LlamaOptions;
    return Fields{field("vocabulary", &L::vocabulary, range::at_least(1), "tokens that the embedding knows"),
                  field("positions", &L::positions, range::at_least(1), "the longest sequence"),
                  field("width", &L::width, range::at_least(1), "numbers of a token"),
                  field("layers", &L::layers, range::at_least(1), "blocks"),
                  field("heads", &L::heads, range::at_least(1), "heads of queries"),
                  field("groups", &L::groups, range::at_least(1), "heads of keys and values"),
                  field("feed_forward", &L::feed_forward, range::at_least(1), "width inside a block"),
                  field("theta", &L::theta, range::positive, "base of the rotary angles"),
                  field("epsilon", &L::epsilon, range::positive, "added to the mean square of a row"),
                  field("tied", &L::tied, "whether the head is the embedding's table")};
  }
};

namespace detail {

inline Init init_of(const LlamaOptions& o) { return o.drawn ? Init::kaiming : Init::none; }

/// sum ← sum + x; x ← attention(norm(sum)); sum ← sum + x; x ← feed-forward(norm(sum)).
template <class T, class D>
class LlamaLayer {
 public:
  LlamaLayer(const LlamaOptions& o, const rng::Stream& stream, const Tensor<T, D>& rotary)
      : first_norm_{{o.width, o.epsilon}},
        attention_{{.width = o.width,
                    .heads = o.heads,
                    .groups = o.groups,
                    .bias = false,
                    .causal = true,
                    .init = init_of(o)},
                   stream.fork(0),
                   rotary},
        second_norm_{{o.width, o.epsilon}},
        feed_forward_{{.width = o.width, .hidden = o.feed_forward, .init = init_of(o)}, stream.fork(1)} {}

  /// x and sum of the next layer.
  NormalisedSum<T, D> step(const NormalisedSum<T, D>& from, Pass& pass) {
    const auto first = first_norm_.of_sum(from.y, from.sum);
    const auto second = second_norm_.of_sum(attention_.forward(first.y, pass), first.sum);
    return {second.sum, feed_forward_.forward(second.y, pass)};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) {
    attention_.visit(visitor, join_name(prefix, "self_attn"));
    feed_forward_.visit(visitor, join_name(prefix, "mlp"));
    first_norm_.visit(visitor, join_name(prefix, "input_layernorm"));
    second_norm_.visit(visitor, join_name(prefix, "post_attention_layernorm"));
  }

 private:
  RMSNorm<T, D> first_norm_;
  SelfAttention<T, D> attention_;
  RMSNorm<T, D> second_norm_;
  GatedFeedForward<T, D> feed_forward_;
};

template <class T, class D>
class Llama final : public Module<T, D> {
 public:
  Llama(const LlamaOptions& o, const rng::Stream& stream)
      : words_{{.rows = o.vocabulary, .width = o.width, .drawn = o.drawn}, stream.fork(0)},
        norm_{{o.width, o.epsilon}} {
    if (!o.tied) head_ = TokenHead<T, D>(o.width, o.vocabulary, init_of(o), stream.fork(1));
    const auto rotary = rotary_table<T, D>(o.positions, o.width / std::max<Index>(o.heads, 1), o.theta);
    for (Index i = 0; i < o.layers; ++i)
      layers_.emplace_back(o, stream.fork(2 + static_cast<std::uint32_t>(i)), rotary);
  }

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) override {
    NormalisedSum<T, D> at{{}, words_.forward(x, pass)};
    for (auto& layer : layers_) at = layer.step(at, pass);
    return head_.forward(norm_.of_sum(at.y, at.sum).y, words_.table(), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    const std::string model = join_name(prefix, "model");
    words_.visit(visitor, model + ".embed_tokens");
    for (std::size_t i = 0; i < layers_.size(); ++i)
      layers_[i].visit(visitor, model + ".layers." + std::to_string(i));
    norm_.visit(visitor, model + ".norm");
    head_.visit(visitor, join_name(prefix, "lm_head"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Llama>(*this); }

 private:
  Embedding<T, D> words_;
  std::vector<LlamaLayer<T, D>> layers_;
  RMSNorm<T, D> norm_;
  TokenHead<T, D> head_;
};

}  // namespace detail

/// Logits of the tokens of the pass, or the losses of its targets (TokenHead). Pre-norm, rotary positions,
/// grouped heads. Parameters are named as in Hugging Face's LlamaForCausalLM. Source: Touvron et al., arXiv
/// 2302.13971.
template <class T, class D = Cpu>
  requires SequenceBackend<D, T>
Model<T, D> llama(const LlamaOptions& o = {}) {
  check_fields(o, "llama");
  return detail::Llama<T, D>(o, rng::Stream(o.seed, rng::Purpose::init));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LLAMA(TEMPLATE, T) TEMPLATE Model<T> llama<T, Cpu>(const LlamaOptions&);
#ifdef LORU_COMPILED
LORU_COMPILED_LLAMA(extern template, float)
LORU_COMPILED_LLAMA(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
