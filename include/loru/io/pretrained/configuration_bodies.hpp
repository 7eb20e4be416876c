#pragma once
// Bodies of configuration.hpp.

#include <cmath>
#include <initializer_list>
#include <utility>

#include <loru/core/error.hpp>
#include <loru/io/pretrained/configuration.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

// Bounds that keep every product of extents below 2^63.
inline constexpr Index most_layers = 10'000, most_extent = Index{1} << 24;

inline void require_word(const JsonPlace& place, std::string_view key, std::string_view expected) {
  if (place.has(key) && place[key].text() != expected)
    place[key].refuse(concat('"', expected, '"'), concat('"', place[key].text().substr(0, 80), '"'));
}

inline void require_false(const JsonPlace& place, std::string_view key) {
  if (place.flag_or(key, false)) place[key].refuse("false", "true");
}

inline TransformerConfiguration bert_configuration(const JsonPlace& place) {
  require_word(place, "hidden_act", "gelu");
  require_word(place, "position_embedding_type", "absolute");
  require_false(place, "is_decoder");
  TransformerConfiguration c{.architecture = Architecture::bert};
  c.layers = place["num_hidden_layers"].whole(1, most_layers);
  c.heads = c.groups = place["num_attention_heads"].whole(1, most_extent);
  c.types = place.whole_or("type_vocab_size", 1, most_extent, 2);
  c.epsilon = place.number_or("layer_norm_eps", 1e-12);
  return c;
}

/// Rotary angles as they are, not stretched to longer texts.
inline void read_rotary(const JsonPlace& place, TransformerConfiguration& c) {
  if (place.has("rope_scaling")) place["rope_scaling"].refuse("null");
  c.theta = place.number_or("rope_theta", 10000.0);
  if (!place.has("rope_parameters")) return;
  const JsonPlace parameters = place["rope_parameters"];
  require_word(parameters, "rope_type", "default");
  c.theta = parameters.number_or("rope_theta", c.theta);
}

inline TransformerConfiguration llama_configuration(const JsonPlace& place) {
  require_word(place, "hidden_act", "silu");
  require_false(place, "attention_bias");
  require_false(place, "mlp_bias");
  TransformerConfiguration c{.architecture = Architecture::llama};
  c.layers = place["num_hidden_layers"].whole(1, most_layers);
  c.heads = place["num_attention_heads"].whole(1, most_extent);
  c.groups = place.whole_or("num_key_value_heads", 1, most_extent, c.heads);
  c.epsilon = place.number_or("rms_norm_eps", 1e-6);
  c.tied = place.flag_or("tie_word_embeddings", false);
  read_rotary(place, c);
  return c;
}

}  // namespace detail

LORU_INLINE void check_configuration(const TransformerConfiguration& c, std::string_view origin) {
  const auto at_least_one = [&](const char* what, Index value) {
    require<DataError>(value >= 1 && value <= detail::most_extent, origin, ": ", what,
                       ": expected a whole number in 1 .. ", detail::most_extent, ", got ", value);
  };
  for (const auto& [what, value] : {std::pair{"layers", c.layers},
                                    {"width", c.width},
                                    {"heads", c.heads},
                                    {"key and value heads", c.groups},
                                    {"feed-forward width", c.feed_forward},
                                    {"vocabulary", c.vocabulary},
                                    {"positions", c.positions}})
    at_least_one(what, value);
  require<DataError>(c.layers <= detail::most_layers, origin, ": layers: expected at most ",
                     detail::most_layers, ", got ", c.layers);
  require<DataError>(c.width % c.heads == 0, origin, ": heads: expected a divisor of the width ", c.width,
                     ", got ", c.heads);
  require<DataError>(c.heads % c.groups == 0, origin, ": key and value heads: expected a divisor of the ",
                     c.heads, " heads, got ", c.groups);
  require<DataError>(std::isfinite(c.epsilon) && c.epsilon > 0.0, origin,
                     ": epsilon of the norms: expected a number > 0, got ", c.epsilon);
  if (c.architecture == Architecture::bert) return at_least_one("token types", c.types);
  require<DataError>(c.head_width() % 2 == 0, origin, ": heads: expected an even number of values each, got ",
                     c.head_width());
  require<DataError>(std::isfinite(c.theta) && c.theta > 0.0, origin,
                     ": base of the rotary angles: expected a number > 0, got ", c.theta);
}

LORU_INLINE TransformerConfiguration configuration_of(const Json& document, std::string_view origin) {
  const JsonPlace place(document, std::string(origin));
  const JsonPlace type = place["model_type"];
  const bool bert = type.text() == "bert";
  if (!bert && type.text() != "llama") type.refuse("bert or llama", type.text().substr(0, 80));
  TransformerConfiguration c = bert ? detail::bert_configuration(place) : detail::llama_configuration(place);
  c.width = place["hidden_size"].whole(1, detail::most_extent);
  c.feed_forward = place["intermediate_size"].whole(1, detail::most_extent);
  c.vocabulary = place["vocab_size"].whole(1, detail::most_extent);
  c.positions = place["max_position_embeddings"].whole(1, detail::most_extent);
  check_configuration(c, origin);
  if (place.has("head_dim") && place["head_dim"].whole(1, detail::most_extent) != c.head_width())
    place["head_dim"].refuse(concat(c.head_width(), ", the width over the heads"),
                             concat(place["head_dim"].whole(1, detail::most_extent)));
  return c;
}

LORU_INLINE TransformerConfiguration configuration_of(const Gguf& file) {
  const std::string& architecture = file.text("general.architecture");
  require<DataError>(architecture == "llama", file.origin, ": general.architecture: expected llama, got ",
                     architecture.substr(0, 80));
  const auto whole = [&](const char* key) { return file.whole(key, 1, detail::most_extent); };
  const auto whole_or = [&](const char* key, Index otherwise) {
    return file.has(key) ? whole(key) : otherwise;
  };
  TransformerConfiguration c{.architecture = Architecture::llama};
  c.layers = whole("llama.block_count");
  c.width = whole("llama.embedding_length");
  c.heads = whole("llama.attention.head_count");
  c.groups = whole_or("llama.attention.head_count_kv", c.heads);
  c.feed_forward = whole("llama.feed_forward_length");
  c.positions = whole("llama.context_length");
  c.epsilon = file.number("llama.attention.layer_norm_rms_epsilon");
  c.theta = file.has("llama.rope.freq_base") ? file.number("llama.rope.freq_base") : 10000.0;
  const BlockTensor& embedding = file.tensor("token_embd.weight");
  c.vocabulary = whole_or("llama.vocab_size", embedding.rows());
  c.tied = file.tensors.find("output.weight") == file.tensors.end();
  check_configuration(c, file.origin);
  for (const char* key :
       {"llama.rope.dimension_count", "llama.attention.key_length", "llama.attention.value_length"})
    require<DataError>(whole_or(key, c.head_width()) == c.head_width(), file.origin, ": ", key, ": expected ",
                       c.head_width(), ", the width over the heads, got ", whole_or(key, 0));
  if (file.has("llama.rope.scaling.type"))
    require<DataError>(file.text("llama.rope.scaling.type") == "none", file.origin,
                       ": llama.rope.scaling.type: expected none, got ",
                       file.text("llama.rope.scaling.type").substr(0, 80));
  return c;
}

namespace detail {

inline void add_bert_layer(const TransformerConfiguration& c, const std::string& layer,
                           std::map<std::string, Shape>& shapes) {
  const auto dense = [&](const std::string& name, Index out, Index in) {
    shapes[layer + name + ".weight"] = {out, in};
    shapes[layer + name + ".bias"] = {out};
  };
  for (const char* name : {"query", "key", "value"}) dense(concat("attention.self.", name), c.width, c.width);
  dense("attention.output.dense", c.width, c.width);
  dense("intermediate.dense", c.feed_forward, c.width);
  dense("output.dense", c.width, c.feed_forward);
  for (const char* norm : {"attention.output.LayerNorm", "output.LayerNorm"})
    for (const char* part : {".weight", ".bias"}) shapes[layer + norm + part] = {c.width};
}

inline void add_llama_layer(const TransformerConfiguration& c, const std::string& layer,
                            std::map<std::string, Shape>& shapes) {
  const Index keys = c.groups * c.head_width();
  shapes[layer + "self_attn.q_proj.weight"] = {c.width, c.width};
  shapes[layer + "self_attn.k_proj.weight"] = {keys, c.width};
  shapes[layer + "self_attn.v_proj.weight"] = {keys, c.width};
  shapes[layer + "self_attn.o_proj.weight"] = {c.width, c.width};
  shapes[layer + "mlp.gate_proj.weight"] = {c.feed_forward, c.width};
  shapes[layer + "mlp.up_proj.weight"] = {c.feed_forward, c.width};
  shapes[layer + "mlp.down_proj.weight"] = {c.width, c.feed_forward};
  shapes[layer + "input_layernorm.weight"] = {c.width};
  shapes[layer + "post_attention_layernorm.weight"] = {c.width};
}

inline std::map<std::string, Shape> shapes_of_layer(const TransformerConfiguration& c, Index i) {
  std::map<std::string, Shape> shapes;
  if (c.architecture == Architecture::bert)
    add_bert_layer(c, concat("bert.encoder.layer.", i, '.'), shapes);
  else
    add_llama_layer(c, concat("model.layers.", i, '.'), shapes);
  return shapes;
}

inline std::map<std::string, Shape> shapes_beside_layers(const TransformerConfiguration& c) {
  std::map<std::string, Shape> shapes;
  if (c.architecture == Architecture::bert) {
    const std::string embeddings = "bert.embeddings.";
    shapes[embeddings + "word_embeddings.weight"] = {c.vocabulary, c.width};
    shapes[embeddings + "position_embeddings.weight"] = {c.positions, c.width};
    shapes[embeddings + "token_type_embeddings.weight"] = {c.types, c.width};
    shapes[embeddings + "LayerNorm.weight"] = shapes[embeddings + "LayerNorm.bias"] = {c.width};
    shapes["bert.pooler.dense.weight"] = {c.width, c.width};
    shapes["bert.pooler.dense.bias"] = {c.width};
    return shapes;
  }
  shapes["model.embed_tokens.weight"] = {c.vocabulary, c.width};
  shapes["model.norm.weight"] = {c.width};
  if (!c.tied) shapes["lm_head.weight"] = {c.vocabulary, c.width};
  return shapes;
}

}  // namespace detail

LORU_INLINE std::map<std::string, Shape> tensor_shapes(const TransformerConfiguration& c) {
  std::map<std::string, Shape> shapes = detail::shapes_beside_layers(c);
  for (Index i = 0; i < c.layers; ++i) shapes.merge(detail::shapes_of_layer(c, i));
  return shapes;
}

}  // namespace loru::inline LORU_ISA::io
