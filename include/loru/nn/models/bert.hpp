#pragma once
// BERT, an encoder that classifies sequences by their first token.

#include <loru/core/fields.hpp>
#include <loru/nn/dropout.hpp>
#include <loru/nn/embedding.hpp>
#include <loru/nn/feed_forward.hpp>
#include <loru/nn/pooler.hpp>
#include <loru/nn/row_norm.hpp>
#include <loru/nn/self_attention.hpp>

namespace loru::inline LORU_ISA::nn {

/// The shape of a BERT and its initial values. The defaults are those of MiniLM with 6 layers.
struct BertOptions {
  Index vocabulary = 30522, positions = 512, types = 2, width = 384, layers = 6, heads = 12,
        feed_forward = 1536, classes = 2;
  double epsilon = 1e-12;
  double dropout = 0.0;
  std::uint64_t seed = 1;

  static constexpr auto fields() {
    using B = BertOptions;
    return Fields{field("vocabulary", &B::vocabulary, range::at_least(1), "tokens that the embedding knows"),
                  field("positions", &B::positions, range::at_least(1), "the longest sequence"),
                  field("types", &B::types, range::at_least(1), "token types; only type 0 is read"),
                  field("width", &B::width, range::at_least(1), "numbers of a token"),
                  field("layers", &B::layers, range::at_least(1), "blocks"),
                  field("heads", &B::heads, range::at_least(1), "heads of an attention"),
                  field("feed_forward", &B::feed_forward, range::at_least(1), "width inside a block"),
                  field("epsilon", &B::epsilon, range::positive, "added to the variance of a row"),
                  field("dropout", &B::dropout, range::below_one, "after each sublayer and the pooler")};
  }
};

namespace detail {

/// x ← norm(x + attention(x)), x ← norm(x + feed-forward(x)).
template <class T, class D>
class BertLayer {
 public:
  BertLayer(const BertOptions& o, const rng::Stream& stream)
      : dropout_{o.dropout},
        attention_{{.width = o.width,
                    .heads = o.heads,
                    .groups = o.heads,
                    .names = {"attention.self.query", "attention.self.key", "attention.self.value",
                              "attention.output.dense"}},
                   stream.fork(0)},
        first_norm_{{o.width, o.epsilon}},
        feed_forward_{
            {.width = o.width, .hidden = o.feed_forward, .names = {"intermediate.dense", "output.dense"}},
            stream.fork(1)},
        second_norm_{{o.width, o.epsilon}} {}

  Variable<T, D> forward(const Variable<T, D>& x, Pass& pass) {
    return after_attention(attention_.forward(x, pass), x, pass);
  }

  /// The first row of each sequence alone: the last layer before the pooler.
  Variable<T, D> forward_first(const Variable<T, D>& x, Pass& pass) {
    const Sequences& s = sequences_of(pass, "bert");
    const Variable<T, D> first = embedding(x, end_rows<D>("bert", s, false));
    return after_attention(attention_.forward_rows(x, first, single_rows(s.count()), pass), first, pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) {
    attention_.visit(visitor, prefix);
    first_norm_.visit(visitor, join_name(prefix, "attention.output.LayerNorm"));
    feed_forward_.visit(visitor, prefix);
    second_norm_.visit(visitor, join_name(prefix, "output.LayerNorm"));
  }

 private:
  Variable<T, D> after_attention(const Variable<T, D>& y, const Variable<T, D>& x, Pass& pass) {
    const Variable<T, D> h = first_norm_.of_sum(nn::dropout(y, dropout_, pass), x).y;
    return second_norm_.of_sum(nn::dropout(feed_forward_.forward(h, pass), dropout_, pass), h).y;
  }

  double dropout_;
  SelfAttention<T, D> attention_;
  LayerNorm<T, D> first_norm_;
  FeedForward<T, D> feed_forward_;
  LayerNorm<T, D> second_norm_;
};

/// Embeddings, layers, pooler and classifier.
template <class T, class D>
class Bert final : public Module<T, D> {
 public:
  Bert(const BertOptions& o, const rng::Stream& stream)
      : dropout_{o.dropout},
        words_{{o.vocabulary, o.width}, stream.fork(0)},
        positions_{{o.positions, o.width}, stream.fork(1)},
        types_{{o.types, o.width}, stream.fork(2)},
        norm_{{o.width, o.epsilon}},
        pooler_{o.width, Init::kaiming, stream.fork(3)},
        classifier_{{o.width, o.classes}, stream.fork(4)} {
    for (Index i = 0; i < o.layers; ++i)
      layers_.emplace_back(o, stream.fork(5 + static_cast<std::uint32_t>(i)));
  }

  Variable<T, D> forward(const Variable<T, D>&, Pass& pass) override {
    const Tokens<D>& tokens = tokens_of<D>(pass, "bert");
    Variable<T, D> x = embed(tokens);
    x = nn::dropout(x, dropout_, pass);
    for (std::size_t i = 0; i + 1 < layers_.size(); ++i) x = layers_[i].forward(x, pass);
    const Variable<T, D> pooled = pooler_.forward(layers_.back().forward_first(x, pass), pass);
    return classifier_.forward(nn::dropout(pooled, dropout_, pass), pass);
  }

  void visit(const Visitor<T, D>& visitor, const std::string& prefix) override {
    const std::string bert = join_name(prefix, "bert"), embeddings = bert + ".embeddings.";
    words_.visit(visitor, embeddings + "word_embeddings");
    positions_.visit(visitor, embeddings + "position_embeddings");
    types_.visit(visitor, embeddings + "token_type_embeddings");
    norm_.visit(visitor, embeddings + "LayerNorm");
    for (std::size_t i = 0; i < layers_.size(); ++i)
      layers_[i].visit(visitor, bert + ".encoder.layer." + std::to_string(i));
    pooler_.visit(visitor, bert + ".pooler");
    classifier_.visit(visitor, join_name(prefix, "classifier"));
  }

  std::unique_ptr<Module<T, D>> clone() const override { return std::make_unique<Bert>(*this); }

 private:
  /// norm(word + type 0 + position).
  Variable<T, D> embed(const Tokens<D>& tokens) const {
    const auto places = positions<D>("bert", tokens.bounds, positions_.table().shape()[0]);
    Tensor<std::int32_t> type(Shape{tokens.tokens.size()});
    std::fill(type.data(), type.data() + type.size(), 0);
    return norm_.of_sum(add(words_.at(tokens.tokens), types_.at(to_device<D>(type))), positions_.at(places))
        .y;
  }

  double dropout_;
  Embedding<T, D> words_, positions_, types_;
  LayerNorm<T, D> norm_;
  std::vector<BertLayer<T, D>> layers_;
  Pooler<T, D> pooler_;
  Linear<T, D> classifier_;
};

}  // namespace detail

/// Logits (N, classes) of the first token of each sequence of the pass. Post-norm, exact GELU, no attention
/// dropout. Parameters are named as in Hugging Face's BertForSequenceClassification. The last layer computes
/// the first rows alone, which are all that is read. Source: Devlin et al., arXiv 1810.04805.
template <class T, class D = Cpu>
  requires SequenceBackend<D, T>
Model<T, D> bert(const BertOptions& o = {}) {
  check_fields(o, "bert");
  return detail::Bert<T, D>(o, rng::Stream(o.seed, rng::Purpose::init));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_BERT(TEMPLATE, T) TEMPLATE Model<T> bert<T, Cpu>(const BertOptions&);
#ifdef LORU_COMPILED
LORU_COMPILED_BERT(extern template, float)
LORU_COMPILED_BERT(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA::nn
