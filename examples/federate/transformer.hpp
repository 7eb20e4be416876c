#pragma once
// Models of sequences of tokens: from nothing, or from published weights.

#include <concepts>
#include <set>
#include <string>
#include <vector>

#include <loru/core/fields.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/locate.hpp>
#include <loru/nn/module.hpp>

namespace federate {

using loru::Index;

/// The largest extent of a model and of a sequence: no product of two such leaves 2^63.
inline constexpr Index most_extent = Index{1} << 24;

/// The keys of [model] that are for models of sequences.
struct TransformerOptions {
  loru::data::Path weights;
  bool keep_quantised = false;
  std::vector<std::string> train;
  Index layers = 4, width = 128, heads = 4, groups = 4, feed_forward = 512;
  double dropout = 0.0;

  static constexpr auto fields() {
    using T = TransformerOptions;
    using namespace loru;
    return Fields{
        field("weights", &T::weights,
              "of bert and llama: X.gguf, llama2.c's X.bin, or a folder with config.json and "
              "model.safetensors; or minilm, smollm2 or stories260k. They give the model its shape; if empty "
              "it is drawn anew"),
        field(
            "keep_quantised", &T::keep_quantised,
            "whether frozen matrices of X.gguf stay in memory as they are in the file, and are decoded when "
            "a product needs them"),
        field("train", &T::train,
              "name patterns of the parameters that are trained beside the factors; none: with published "
              "weights the classifier, else all"),
        field("layers", &T::layers, range::between(1, 10'000), "of bert, llama and char_transformer: blocks"),
        field("width", &T::width, range::between(1, most_extent), "of the same: numbers of a token"),
        field("heads", &T::heads, range::between(1, most_extent), "of the same: heads of an attention"),
        field("groups", &T::groups, range::between(1, most_extent), "of llama: heads of keys and values"),
        field("feed_forward", &T::feed_forward, range::between(1, most_extent),
              "of the same: width inside a block"),
        field("dropout", &T::dropout, range::below_one, "of bert and char_transformer")};
  }
};

struct Configuration;

/// The model of the configuration for sequences like those of the data: on the host alone. Published weights
/// are in it, and only what the configuration wants trained is. Throws ConfigError where model, weights,
/// tokenizer and task do not go together; as io::load_pretrained does.
loru::nn::Model<float> build_transformer(const Configuration& c, const loru::data::Dataset& data);

/// Tokens of the longest sequence that the model takes. Throws as build_transformer does.
Index positions(const Configuration& c);

/// Names of the published parameters; none for a model that is drawn.
std::set<std::string> published_names(const Configuration& c);

/// Throws ConfigError unless model.weights is empty or something of that name is there.
void check_weights(const Configuration& c);

/// What follows from the weights: the tokenizer, where none is given.
void complete_text(Configuration& c);

}  // namespace federate
