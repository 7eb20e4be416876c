#pragma once
// A small decoder with learned positions, to be trained from nothing.

#include <loru/core/fields.hpp>
#include <loru/nn/dropout.hpp>
#include <loru/nn/embedding.hpp>
#include <loru/nn/feed_forward.hpp>
#include <loru/nn/row_norm.hpp>
#include <loru/nn/self_attention.hpp>
#include <loru/nn/token_head.hpp>

namespace loru::inline LORU_ISA::nn {

/// The shape of a char transformer and its initial values.
struct CharTransformerOptions {
  Index vocabulary = 128, positions = 256, width = 128, layers = 4, heads = 4, feed_forward = 512;
  double epsilon = 1e-5;
  double dropout = 0.0;
  bool tied = true;
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using C = CharTransformerOptions;
    return Fields{field("vocabulary", &C::vocabulary, range::at_least(1), "tokens that the embedding knows"),
                  field("positions", &C::positions, range::at_least(1), "the longest sequence"),
                  field("width", &C::width, range::at_least(1), "numbers of a token"),
                  field("layers", &C::layers, range::at_least(1), "blocks"),
                  field("heads", &C::heads, range::at_least(1), "heads of an attention"),
                  field("feed_forward", &C::feed_forward, range::at_least(1), "width inside a block"),
                  field("epsilon", &C::epsilon, range::positive, "added to the variance of a row"),
                  field("dropout", &C::dropout, range::below_one, "after the embedding and each sublayer"),
                  field("tied", &C::tied, "whether the head is the embedding's table")};
  }
};

namespace detail {

/// sum ← sum + x; x ← attention(norm(sum)); sum ← sum + x; x ← feed-forward(norm(sum)).
template <class T, class D>
class CharLayer {
 public:
  CharLayer(const CharTransformerOptions& o, const rng::Stream& stream)
      : dropout_{o.dropout},
        first_norm_{{o.width, o.epsilon}},
        attention_{
            {.width = o.width,
             .heads = o.heads,
             .groups = o.heads,
             .causal = true,
             .names = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"}},
            stream.fork(0)},
        second_norm_{{o.width, o.epsilon}},
        feed_forward_{{.width = o.width, .hidden = o.feed_forward}, stream.fork(1)} {}

  /// x and sum of the next layer.
  NormalisedSum<T, D> step(const NormalisedSum<T, D>& from, Pass& pass) {
    const auto first = first_norm_.of_sum(from.y, from.sum);
    const auto y = nn::dropout(attention_.forward(first.y, pass), dropout_, pass);
    const auto second = second_norm_.of_sum(y, first.sum);
    return {second.sum, nn::dropout(feed_forward_.forward(second.y, pass), dropout_, pass)};
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) {
    attention_.visit(visitor, prefix);
    first_norm_.visit(visitor, join_name(prefix, "self_attn_layer_norm"));
    feed_forward_.visit(visitor, prefix);
    second_norm_.visit(visitor, join_name(prefix, "final_layer_norm"));
  }

 private:
  double dropout_;
  LayerNorm<T, D> first_norm_;
  SelfAttention<T, D> attention_;
  LayerNorm<T, D> second_norm_;
  FeedForward<T, D> feed_forward_;
};

template <class T, class D>
class CharTransformer final : public Module<T, D> {
 public:
  CharTransformer(const CharTransformerOptions& o, const rng::Stream& stream)
      : dropout_{o.dropout},
        words_{{o.vocabulary, o.width}, stream.fork(0)},
        positions_{{o.positions, o.width}, stream.fork(1)},
        norm_{{o.width, o.epsilon}} {
    if (!o.tied) head_ = TokenHead<T, D>(o.width, o.vocabulary, Init::kaiming, stream.fork(2));
    for (Index i = 0; i < o.layers; ++i)
      layers_.emplace_back(o, stream.fork(3 + static_cast<std::uint32_t>(i)));
  }

  Variable<T, D> forward(const Variable<T, D>&, Pass& pass) override {
    const Tokens<D>& tokens = tokens_of<D>(pass, "char_transformer");
    const auto places = positions<D>("char_transformer", tokens.bounds, positions_.table().shape()[0]);
    const auto x = add(words_.at(tokens.tokens), positions_.at(places));
    NormalisedSum<T, D> at{{}, nn::dropout(x, dropout_, pass)};
    for (auto& layer : layers_) at = layer.step(at, pass);
    return head_.forward(norm_.of_sum(at.y, at.sum).y, words_.table(), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    const std::string decoder = join_name(prefix, "model.decoder");
    words_.visit(visitor, decoder + ".embed_tokens");
    positions_.visit(visitor, decoder + ".embed_positions");
    for (std::size_t i = 0; i < layers_.size(); ++i)
      layers_[i].visit(visitor, decoder + ".layers." + std::to_string(i));
    norm_.visit(visitor, decoder + ".final_layer_norm");
    head_.visit(visitor, join_name(prefix, "lm_head"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<CharTransformer>(*this); }

 private:
  double dropout_;
  Embedding<T, D> words_, positions_;
  std::vector<CharLayer<T, D>> layers_;
  LayerNorm<T, D> norm_;
  TokenHead<T, D> head_;
};

}  // namespace detail

/// Logits of the tokens of the pass, or the losses of its targets (TokenHead). Pre-norm, learned positions,
/// exact GELU. Parameters are named as in Hugging Face's OPTForCausalLM, whose positions begin two rows
/// later. Source: Radford et al. 2019 (GPT-2).
template <class T, class D = Cpu>
  requires SequenceBackend<D, T>
Model<T, D> char_transformer(const CharTransformerOptions& o = {}) {
  check_fields(o, "char_transformer");
  return detail::CharTransformer<T, D>(o, rng::Stream(o.seed, rng::Purpose::init));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_CHAR_TRANSFORMER(TEMPLATE, T) \
  TEMPLATE Model<T> char_transformer<T, Cpu>(const CharTransformerOptions&);
#ifdef LORU_COMPILED
LORU_COMPILED_CHAR_TRANSFORMER(extern template, float)
LORU_COMPILED_CHAR_TRANSFORMER(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
