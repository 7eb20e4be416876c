#pragma once
// The models of published weights, for the programs of scripts.

#include <loru/io/pretrained/pretrained.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/llama.hpp>

namespace golden {

using namespace loru;

/// A model of the configuration; of a BERT with so many classes.
inline nn::Model<float> model_of(const io::TransformerConfiguration& c, Index classes) {
  if (c.architecture == io::Architecture::bert)
    return nn::bert<float>({.vocabulary = c.vocabulary,
                            .positions = c.positions,
                            .types = c.types,
                            .width = c.width,
                            .layers = c.layers,
                            .heads = c.heads,
                            .feed_forward = c.feed_forward,
                            .classes = classes,
                            .epsilon = c.epsilon});
  return nn::llama<float>({.vocabulary = c.vocabulary,
                           .positions = c.positions,
                           .width = c.width,
                           .layers = c.layers,
                           .heads = c.heads,
                           .groups = c.groups,
                           .feed_forward = c.feed_forward,
                           .theta = c.theta,
                           .epsilon = c.epsilon,
                           .tied = c.tied});
}

}  // namespace golden
