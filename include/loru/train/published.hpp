#pragma once
// Models with published weights.

#include <filesystem>
#include <utility>

#include <loru/io/pretrained/weights.hpp>
#include <loru/nn/models/bert.hpp>
#include <loru/nn/models/llama.hpp>

namespace loru::inline LORU_ISA::train {

/// What a published configuration leaves open.
struct TransformerOptions {
  Index classes = 2;  ///< of a BERT's classifier
  double dropout = 0.0;
  std::uint64_t seed = 1;
  bool drawn = true;  ///< else the matrices of a LLaMA have no elements until values are set
};

/// The BERT or LLaMA of that shape. Throws ConfigError for a shape that none has.
template <class T = float, class D = Cpu>
nn::Model<T, D> transformer(const io::TransformerConfiguration& c, const TransformerOptions& o = {}) {
  if (c.architecture == io::Architecture::bert)
    return nn::bert<T, D>({.vocabulary = c.vocabulary,
                           .positions = c.positions,
                           .types = c.types,
                           .width = c.width,
                           .layers = c.layers,
                           .heads = c.heads,
                           .feed_forward = c.feed_forward,
                           .classes = o.classes,
                           .epsilon = c.epsilon,
                           .dropout = o.dropout,
                           .seed = o.seed});
  return nn::llama<T, D>({.vocabulary = c.vocabulary,
                          .positions = c.positions,
                          .width = c.width,
                          .layers = c.layers,
                          .heads = c.heads,
                          .groups = c.groups,
                          .feed_forward = c.feed_forward,
                          .theta = c.theta,
                          .epsilon = c.epsilon,
                          .tied = c.tied,
                          .seed = o.seed,
                          .drawn = o.drawn});
}

/// Sets the classifier of a published model, where it has one. Throws DataError where the model's is another.
template <class D>
void set_classifier(nn::Model<float, D>& model, io::Archive published, std::string_view origin) {
  model.visit({.parameter = [&](const std::string& name, Variable<float, D>& v) {
    if (!published.contains(name)) return;
    const Shape& got = published.raw(name).shape;
    require<DataError>(got == v.shape(), origin, ": tensor ", name, ": expected shape ", v.shape(),
                       " for the classes of the data, got ", got,
                       "; without the tensors classifier.* a new one is drawn");
    v.set_value(to_device<D>(published.get<float>(name, v.shape())));
    published.erase(name);
  }});
  require<DataError>(published.size() == 0, origin, ": tensor ",
                     published.size() == 0 ? "" : published.names().front(),
                     ": expected a classifier of weight and bias, got this too");
}

/// Sets the parameters of the tensors' names. Those that are kept in blocks become constants in blocks, and
/// tensors on a device that keeps none. Throws DataError for a tensor that the model does not have or has in
/// another shape, and for a parameter that was not drawn and is not among them.
template <class D>
void set_published(nn::Model<float, D>& model, io::Pretrained published) {
  const std::size_t expected = published.tensors.size() + published.blocks.size();
  const std::string origin = published.tensors.origin();
  std::size_t set = 0;
  model.visit({.parameter = [&](const std::string& name, Variable<float, D>& v) {
    const auto blocks = published.blocks.find(name);
    if (blocks == published.blocks.end() && !published.tensors.contains(name)) {
      require<DataError>(v.blocks() || v.value(), origin, ": expected a tensor ", name, ", got none");
      return;
    }
    ++set;
    if (blocks == published.blocks.end()) {
      v.set_value(to_device<D>(published.tensors.get<float>(name, v.shape())));
      published.tensors.erase(name);  // its bytes are there twice no longer than needed
      return;
    }
    require<DataError>(blocks->second.shape == v.shape(), origin, ": tensor ", name, ": expected shape ",
                       v.shape(), ", got ", blocks->second.shape);
    if constexpr (keeps_blocks<float, D>)
      v = Variable<float, D>(blocks->second);
    else
      v.set_value(to_device<D>(decoded(blocks->second)));
  }});
  require<DataError>(set == expected, origin, ": expected the ", set, " tensors of the model, got ",
                     expected);
  set_classifier(model, std::move(published.classifier), origin);
}

/// The model of published weights, of a file or folder as io::load_pretrained reads it. A classifier that
/// they do not have is drawn. Throws as that and set_published() do.
template <class D = Cpu>
nn::Model<float, D> load_transformer(const std::filesystem::path& path, TransformerOptions o = {},
                                     const io::PretrainedOptions& weights = {}) {
  io::Pretrained published = io::load_pretrained(path, weights);
  o.drawn = false;
  auto model = transformer<float, D>(published.configuration, o);
  set_published(model, std::move(published));
  return model;
}

}  // namespace loru::inline LORU_ISA::train
