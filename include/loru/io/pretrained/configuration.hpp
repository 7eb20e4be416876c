#pragma once
// The shape of a published transformer, and the names and shapes of its tensors.

#include <map>
#include <string>
#include <string_view>

#include <loru/core/compiled.hpp>
#include <loru/core/shape.hpp>
#include <loru/io/gguf.hpp>
#include <loru/io/json.hpp>

namespace loru::inline LORU_ISA::io {

/// bert: an encoder with learned positions, LayerNorm, exact GELU and a pooler. llama: a decoder with rotary
/// positions, RMSNorm, SwiGLU and no biases.
enum class Architecture { bert, llama };

constexpr const char* to_string(Architecture a) { return a == Architecture::bert ? "bert" : "llama"; }

struct TransformerConfiguration {
  Architecture architecture = Architecture::llama;
  Index layers = 0;
  Index width = 0;         // numbers of a token
  Index heads = 0;         // of queries; width / heads numbers each
  Index groups = 0;        // heads of keys and values
  Index feed_forward = 0;  // width inside a block
  Index vocabulary = 0;
  Index positions = 0;   // the longest sequence that it was trained for
  Index types = 0;       // of bert: token types
  double epsilon = 0.0;  // of the norms
  double theta = 0.0;    // of llama: base of the rotary angles
  bool tied = false;     // of llama: whether the head is the embedding's table

  Index head_width() const { return width / heads; }
};

/// Throws DataError naming `origin` and the first extent that does not fit.
LORU_INLINE void check_configuration(const TransformerConfiguration& configuration, std::string_view origin);

/// Hugging Face's `config.json` of a BERT or a LLaMA. Throws DataError for another model_type and for what
/// would compute something else (activation, rotary scaling, biases of attention, a BERT as a decoder).
LORU_INLINE TransformerConfiguration configuration_of(const Json& document, std::string_view origin);

/// GGUF's metadata of architecture "llama". Throws DataError.
LORU_INLINE TransformerConfiguration configuration_of(const Gguf& file);

/// Hugging Face's names of the tensors, with their shapes: bert.embeddings…, bert.encoder.layer.N…,
/// bert.pooler…; model.embed_tokens…, model.layers.N…, model.norm…, and lm_head unless it is tied.
LORU_INLINE std::map<std::string, Shape> tensor_shapes(const TransformerConfiguration& configuration);

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/pretrained/configuration_bodies.hpp>
#endif
