#include "transformer.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <loru/data/text/load.hpp>
#include <loru/io/pretrained/pretrained.hpp>
#include <loru/nn/freeze.hpp>
#include <loru/nn/models/char_transformer.hpp>
#include <loru/train/published.hpp>
#include <loru/train/tasks/tasks.hpp>

#include "bundled.hpp"
#include "federation.hpp"

namespace federate {

using loru::ConfigError, loru::require;

namespace {

using Model = loru::nn::Model<float>;

/// Throws ConfigError naming the key, unless the extents fit together and the model is one that a machine may
/// hold.
void check_extents(const Configuration& c, const loru::io::TransformerConfiguration& shape) {
  require<ConfigError>(shape.width % shape.heads == 0,
                       "model.heads: expected a divisor of model.width = ", shape.width, ", got ",
                       shape.heads);
  require<ConfigError>(shape.heads % shape.groups == 0,
                       "model.groups: expected a divisor of model.heads = ", shape.heads, ", got ",
                       shape.groups);
  require<ConfigError>(c.model != "llama" || shape.head_width() % 2 == 0,
                       "model.heads: expected an even number of values each, got ", shape.head_width(),
                       " for model.width = ", shape.width);
  const auto real = [](Index x) { return static_cast<double>(x); };
  const double width = real(shape.width), positions = c.model == "llama" ? 0.0 : real(shape.positions);
  const double numbers = real(shape.layers) * width * (4.0 * width + 2.0 * real(shape.feed_forward)) +
                         (real(shape.vocabulary) + positions) * width;
  constexpr double most = 1e10;
  require<ConfigError>(numbers <= most, "model: expected at most ", most, " parameters, got about ", numbers,
                       ": they follow from model.layers, width and feed_forward, and text.length");
}

loru::io::TransformerConfiguration own_shape(const Configuration& c, const loru::data::Dataset& data) {
  const TransformerOptions& o = c.transformer;
  loru::io::TransformerConfiguration shape{.architecture = c.model == "bert" ? loru::io::Architecture::bert
                                                                             : loru::io::Architecture::llama};
  shape.layers = o.layers;
  shape.width = o.width;
  shape.heads = o.heads;
  shape.groups = c.model == "llama" ? o.groups : o.heads;
  shape.feed_forward = o.feed_forward;
  shape.vocabulary = data.vocabulary;
  shape.positions = c.text.length;
  shape.types = 2;
  shape.epsilon = c.model == "bert" ? 1e-12 : 1e-5;
  shape.theta = 1e4;
  shape.tied = true;
  check_extents(c, shape);
  return shape;
}

Model build(const Configuration& c, const loru::io::TransformerConfiguration& shape, Index outputs) {
  const auto seed = static_cast<std::uint64_t>(c.seed);
  if (c.model != "char_transformer")
    return loru::train::transformer<float>(shape, {.classes = outputs,
                                                   .dropout = c.transformer.dropout,
                                                   .seed = seed,
                                                   .drawn = c.transformer.weights.empty()});
  return loru::nn::char_transformer<float>({.vocabulary = shape.vocabulary,
                                            .positions = shape.positions,
                                            .width = shape.width,
                                            .layers = shape.layers,
                                            .heads = shape.heads,
                                            .feed_forward = shape.feed_forward,
                                            .dropout = c.transformer.dropout,
                                            .seed = seed});
}

/// The published model's name patterns of what is trained beside the factors.
std::vector<std::string> trained_patterns(const Configuration& c) {
  if (!c.transformer.train.empty()) return c.transformer.train;
  if (!low_rank(c)) return {"*"};
  return c.model == "bert" ? std::vector<std::string>{"classifier.*"} : std::vector<std::string>{};
}

/// Throws ConfigError where model.keep_quantised asks for what there is not.
void check_blocks(const Configuration& c, Model& model) {
  if (!c.transformer.keep_quantised) return;
  require<ConfigError>(low_rank(c), "model.keep_quantised: expected false under ", c.algorithm,
                       ", which trains all weights, got true");
  const auto parameters = model.parameters();
  require<ConfigError>(
      std::any_of(parameters.begin(), parameters.end(), [](const auto& p) { return p.value.blocks(); }),
      "model.keep_quantised: expected model.weights with frozen matrices in Q8_0, Q4_0, Q4_1, F16 or BF16, "
      "got none in \"",
      c.transformer.weights.string(), '"');
}

void check_fits(const Configuration& c, const loru::io::TransformerConfiguration& shape,
                const std::string& origin, const loru::data::Dataset& data) {
  require<ConfigError>(to_string(shape.architecture) == c.model, "model.name: expected \"",
                       to_string(shape.architecture), "\" for ", origin, ", got \"", c.model, '"');
  require<ConfigError>(data.vocabulary == shape.vocabulary, "text.tokenizer: expected one of ",
                       shape.vocabulary, " tokens, as ", origin, " has, got ", data.vocabulary);
  require<ConfigError>(c.text.length <= shape.positions, "text.length: expected at most ", shape.positions,
                       ", the longest sequence of ", origin, ", got ", c.text.length);
}

}  // namespace

Model build_transformer(const Configuration& c, const loru::data::Dataset& data) {
  require<ConfigError>(data.sequences(), "model.name: ", c.model,
                       " takes sequences of tokens, got samples of shape ", data.sample, " of ", c.data.name);
  require<ConfigError>((c.model == "bert") == (c.task != "next_token"), "task.kind: expected ",
                       c.model == "bert" ? "another than \"next_token\"" : "\"next_token\"",
                       " for the model ", c.model, ", got \"", c.task, '"');
  require<ConfigError>(c.model != "llama" || c.transformer.dropout == 0.0,
                       "model.dropout: expected 0 for llama, which has none, got ", c.transformer.dropout);
  const Index outputs = loru::train::make_task<float>(c.task).outputs(data);
  const loru::data::Path& weights = c.transformer.weights;
  if (weights.empty()) {
    Model model = build(c, own_shape(c, data), outputs);
    check_blocks(c, model);
    if (!c.transformer.train.empty()) loru::nn::train_only(model, c.transformer.train);
    return model;
  }
  require<ConfigError>(c.model != "char_transformer",
                       "model.weights: expected none for char_transformer, got ", weights.string());
  loru::io::Pretrained published = loru::io::load_pretrained(
      loru::data::locate_model(weights, bundled_folders()), {.keep_quantised = c.transformer.keep_quantised});
  check_fits(c, published.configuration, published.tensors.origin(), data);
  Model model = build(c, published.configuration, outputs);
  loru::train::set_published(model, std::move(published));
  loru::nn::train_only(model, trained_patterns(c));
  check_blocks(c, model);
  return model;
}

Index positions(const Configuration& c) {
  if (c.transformer.weights.empty()) return c.text.length;
  const auto path = loru::data::locate_model(c.transformer.weights, bundled_folders());
  return loru::io::load_configuration(path).positions;
}

std::set<std::string> published_names(const Configuration& c) {
  if (c.transformer.weights.empty()) return {};
  const auto path = loru::data::locate_model(c.transformer.weights, bundled_folders());
  std::set<std::string> names;
  for (const auto& [name, shape] : loru::io::tensor_shapes(loru::io::load_configuration(path)))
    names.insert(name);
  return names;
}

void check_weights(const Configuration& c) {
  const loru::data::Path& weights = c.transformer.weights;
  if (weights.empty()) return;
  std::error_code code;
  require<ConfigError>(std::filesystem::exists(loru::data::locate_model(weights, bundled_folders()), code),
                       "model.weights: expected X.gguf, X.bin, a folder with config.json and "
                       "model.safetensors, minilm, smollm2 or stories260k, got \"",
                       weights.string(), "\", which is not there");
}

void complete_text(Configuration& c) {
  c.text.seed = static_cast<std::uint64_t>(c.seed);
  const loru::data::Path& weights = c.transformer.weights;
  const bool has_none = weights.empty() || weights.extension() == ".bin";  // llama2.c's has a file of its own
  if (c.text.tokenizer.empty() && !has_none) c.text.tokenizer = weights;
}

}  // namespace federate
