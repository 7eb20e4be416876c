#pragma once
// Bodies of weights.hpp.

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <loru/core/error.hpp>
#include <loru/core/text.hpp>
#include <loru/io/detail/byte_reader.hpp>
#include <loru/io/file.hpp>
#include <loru/io/pretrained/weights.hpp>
#include <loru/io/safetensors.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// The shapes of the configuration's tensors. Throws DataError unless the names are theirs. Layer by layer,
/// so that a configuration of more layers than there are takes no memory for them.
template <class Tensors>
std::map<std::string, Shape> named_shapes(const Tensors& tensors, const TransformerConfiguration& c,
                                          std::string_view origin) {
  std::map<std::string, Shape> shapes;
  const auto take = [&](std::map<std::string, Shape> some) {
    for (const auto& [name, shape] : some)
      require<DataError>(tensors.find(name) != tensors.end(), origin, ": tensor ", name, ": expected shape ",
                         shape, ", got no such tensor");
    shapes.merge(some);
  };
  take(shapes_beside_layers(c));
  for (Index i = 0; i < c.layers; ++i) take(shapes_of_layer(c, i));
  for (const auto& [name, tensor] : tensors)
    require<DataError>(shapes.find(name) != shapes.end(), origin, ": tensor ", name.substr(0, 120),
                       ": expected none of this name for the configuration, got shape ", tensor.shape);
  return shapes;
}

inline void require_shape(std::string_view origin, const std::string& name, const Shape& expected,
                          const Shape& got) {
  require<DataError>(got == expected, origin, ": tensor ", name, ": expected shape ", expected, ", got ",
                     got);
}

/// The rows of a row-major matrix in Hugging Face's order.
inline std::shared_ptr<const std::vector<std::byte>> undo_interleaving(std::span<const std::byte> bytes,
                                                                       Index rows, Index heads) {
  auto out = std::make_shared<std::vector<std::byte>>(bytes.size());
  const std::size_t row_bytes = bytes.size() / static_cast<std::size_t>(rows);
  for (Index row = 0; row < rows; ++row)
    std::memcpy(out->data() + static_cast<std::size_t>(row) * row_bytes,
                bytes.data() + static_cast<std::size_t>(interleaved_row(row, rows, heads)) * row_bytes,
                row_bytes);
  return out;
}

/// The heads whose rows of this tensor are interleaved; nothing for others.
inline std::optional<Index> rotated_heads(const TransformerConfiguration& c, std::string_view name) {
  if (name.ends_with(".self_attn.q_proj.weight")) return c.heads;
  if (name.ends_with(".self_attn.k_proj.weight")) return c.groups;
  return std::nullopt;
}

inline BlockTensor in_published_order(BlockTensor tensor, const TransformerConfiguration& c,
                                      std::string_view name) {
  const auto heads = rotated_heads(c, name);
  if (!heads) return tensor;
  auto bytes = undo_interleaving(tensor.bytes, tensor.rows(), *heads);
  tensor.bytes = *bytes;
  tensor.owner = std::move(bytes);
  return tensor;
}

inline void put_floats(Archive& archive, const std::string& name, const BlockTensor& tensor) {
  if (tensor.type == BlockType::f32)
    return archive.put_raw(name, {DType::f32, tensor.shape, tensor.bytes, tensor.owner});
  Tensor<float> values{tensor.shape};
  decode_rows(tensor, 0, tensor.rows(), values.data());
  archive.share(name, values);
}

/// Hugging Face's name of a tensor of a GGUF file; the same name if it is not known.
inline std::string published_name(const std::string& gguf) {
  constexpr std::pair<std::string_view, std::string_view> whole[] = {
      {"token_embd.weight", "model.embed_tokens.weight"},
      {"output_norm.weight", "model.norm.weight"},
      {"output.weight", "lm_head.weight"}};
  constexpr std::pair<std::string_view, std::string_view> of_layer[] = {
      {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
      {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  for (const auto& [theirs, published] : whole)
    if (gguf == theirs) return std::string(published);
  if (!gguf.starts_with("blk.") || !gguf.ends_with(".weight")) return gguf;
  const std::size_t dot = gguf.find('.', 4);
  const std::string_view number = std::string_view(gguf).substr(4, dot - 4);
  if (dot + 8 > gguf.size() || !parse_number<Index>(number)) return gguf;
  const std::string_view part = std::string_view(gguf).substr(dot + 1, gguf.size() - dot - 8);
  for (const auto& [theirs, published] : of_layer)
    if (part == theirs) return concat("model.layers.", number, '.', published, ".weight");
  return gguf;
}

}  // namespace detail

LORU_INLINE Pretrained pretrained_of(const Gguf& file, const PretrainedOptions& options) {
  Pretrained out{configuration_of(file), Archive{file.origin}};
  const TransformerConfiguration& c = out.configuration;
  std::map<std::string, BlockTensor> named;
  for (const auto& [name, tensor] : file.tensors)
    require<DataError>(named.emplace(detail::published_name(name), tensor).second, file.origin, ": tensor ",
                       name.substr(0, 120), ": expected each tensor once, got it under two names");
  const std::map<std::string, Shape> shapes = detail::named_shapes(named, c, file.origin);
  for (const auto& [name, tensor] : named) {
    detail::require_shape(file.origin, name, shapes.at(name), tensor.shape);
    const BlockTensor published = detail::in_published_order(tensor, c, name);
    if (options.keep_quantised && published.type != BlockType::f32 && published.rank() == 2)
      out.blocks.emplace(name, published);
    else
      detail::put_floats(out.tensors, name, published);
  }
  return out;
}

namespace detail {

/// llama2.c's order of the weights of all layers, with the shape for one layer.
inline std::vector<std::string> llama2c_order() {
  return {"input_layernorm",  "self_attn.q_proj", "self_attn.k_proj",
          "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm",
          "mlp.gate_proj",    "mlp.down_proj",    "mlp.up_proj"};
}

inline TransformerConfiguration llama2c_configuration(ByteReader& reader) {
  std::array<std::int32_t, 7> header{};
  const auto first = reader.take<std::int32_t>("a header");
  reader.check(first != 0x616b3432, "llama2.c's first format, got a newer one (magic ak42)");
  header[0] = first;
  for (std::size_t i = 1; i < 7; ++i) header[i] = reader.take<std::int32_t>("a header");
  TransformerConfiguration c{.architecture = Architecture::llama};
  c.width = header[0];
  c.feed_forward = header[1];
  c.layers = header[2];
  c.heads = header[3];
  c.groups = header[4];
  c.tied = header[5] > 0;
  c.vocabulary = c.tied ? Index{header[5]} : -Index{header[5]};
  c.positions = header[6];
  c.epsilon = 1e-5;
  c.theta = 10000.0;
  check_configuration(c, reader.origin());
  return c;
}

}  // namespace detail

LORU_INLINE Pretrained read_llama2c(std::vector<std::byte>&& bytes, std::string_view origin) {
  const auto owner = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  detail::ByteReader reader{*owner, origin};
  Pretrained out{detail::llama2c_configuration(reader), Archive{origin}};
  const TransformerConfiguration& c = out.configuration;
  const std::map<std::string, Shape> beside = detail::shapes_beside_layers(c);
  const auto take = [&](const std::string& name, const Shape& shape) {
    BlockTensor tensor{BlockType::f32, shape, {}, owner};
    tensor.bytes = reader.take_bytes(static_cast<std::uint64_t>(shape.size()) * 4, name);
    detail::put_floats(out.tensors, name, detail::in_published_order(std::move(tensor), c, name));
  };
  take("model.embed_tokens.weight", beside.at("model.embed_tokens.weight"));
  const std::map<std::string, Shape> of_layer = detail::shapes_of_layer(c, 0);
  for (const std::string& part : detail::llama2c_order())
    for (Index i = 0; i < c.layers; ++i)
      take(concat("model.layers.", i, '.', part, ".weight"),
           of_layer.at(concat("model.layers.0.", part, ".weight")));
  take("model.norm.weight", beside.at("model.norm.weight"));
  // Cosines and sines of the rotary angles, which follow from the configuration.
  reader.take_bytes(static_cast<std::uint64_t>(c.positions * c.head_width()) * 4, "rotary angles");
  if (!c.tied) take("lm_head.weight", beside.at("lm_head.weight"));
  reader.check(reader.left() == 0, "the end of the file, got ", reader.left(), " bytes more");
  return out;
}

namespace detail {

/// A tensor of floats as its bytes. Throws DataError for another type.
inline BlockTensor as_blocks(const RawTensor& raw, std::string_view origin, const std::string& name) {
  require<DataError>(raw.dtype == DType::f32 || raw.dtype == DType::f16 || raw.dtype == DType::bf16, origin,
                     ": tensor ", name, ": expected F32, F16 or BF16, got ", to_string(raw.dtype));
  const BlockType type = raw.dtype == DType::f32   ? BlockType::f32
                         : raw.dtype == DType::f16 ? BlockType::f16
                                                   : BlockType::bf16;
  return {type, raw.shape, raw.bytes, raw.owner};
}

/// Whether a tensor of a file is no part of the model itself.
inline bool left_out(const TransformerConfiguration& c, std::string_view name) {
  if (c.architecture == Architecture::llama)
    return name.ends_with(".rotary_emb.inv_freq") || (c.tied && name == "lm_head.weight");
  return name.ends_with("embeddings.position_ids") || name.starts_with("cls.");
}

}  // namespace detail

LORU_INLINE Pretrained pretrained_of(const Archive& archive, const TransformerConfiguration& configuration) {
  Pretrained out{configuration, Archive{archive.origin()}};
  const bool bert = configuration.architecture == Architecture::bert;
  std::map<std::string, RawTensor> named;
  for (const auto& [name, raw] : archive.tensors()) {
    if (detail::left_out(configuration, name)) continue;
    if (bert && name.starts_with("classifier.")) {
      detail::put_floats(out.classifier, name, detail::as_blocks(raw, archive.origin(), name));
      continue;
    }
    // A model without a task on top has no prefix.
    const std::string published = bert && !name.starts_with("bert.") ? "bert." + name : name;
    require<DataError>(named.emplace(published, raw).second, archive.origin(), ": tensor ",
                       name.substr(0, 120), ": expected each tensor once, got it under two names");
  }
  const std::map<std::string, Shape> shapes = detail::named_shapes(named, configuration, archive.origin());
  for (const auto& [name, raw] : named) {
    detail::require_shape(archive.origin(), name, shapes.at(name), raw.shape);
    detail::put_floats(out.tensors, name, detail::as_blocks(raw, archive.origin(), name));
  }
  return out;
}

namespace detail {

[[noreturn]] inline void refuse_weights(const std::filesystem::path& path) {
  fail<DataError>(path.native(),
                  ": weights: expected a file .gguf or .bin, or a folder with config.json and "
                  "model.safetensors");
}

/// The tensors of the shards that an index names. Throws DataError unless each tensor stands in the shard
/// that the index gives it and the shards have no others.
inline Archive load_shards(const std::filesystem::path& index) {
  const Json json = load_json(index);
  const JsonPlace map = JsonPlace(json, index.native())["weight_map"];
  std::map<std::string, Archive> shards;
  Archive all(index.native());
  for (const auto& [name, value] : map.object()) {
    const JsonPlace place(value, concat(map.where(), ": ", name.substr(0, 120)));
    const std::string& file = place.text();
    if (file.empty() || std::filesystem::path(file).filename() != file || file.starts_with('.'))
      place.refuse("the name of a file beside the index", concat('"', file.substr(0, 120), '"'));
    if (!shards.contains(file)) shards.emplace(file, load(index.parent_path() / file));
    Archive& shard = shards.at(file);
    all.put_raw(name, shard.raw(name));
    shard.erase(name);
  }
  for (const auto& [file, shard] : shards)
    require<DataError>(shard.size() == 0, shard.origin(), ": tensor ",
                       shard.size() == 0 ? "" : shard.names().front().substr(0, 120),
                       ": expected only what the index has under this file");
  return all;
}

/// The published tensors of a folder: of model.safetensors, or of its shards.
inline Archive load_folder(const std::filesystem::path& folder) {
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  return std::filesystem::exists(index) ? load_shards(index) : load(folder / "model.safetensors");
}

}  // namespace detail

LORU_INLINE TransformerConfiguration load_configuration(const std::filesystem::path& path) {
  if (std::filesystem::is_directory(path)) {
    const std::filesystem::path file = path / "config.json";
    return configuration_of(load_json(file), file.native());
  }
  if (path.extension() == ".gguf") return configuration_of(Gguf::load(path));
  if (path.extension() != ".bin") detail::refuse_weights(path);
  const std::vector<std::byte> bytes = read_file(path);
  detail::ByteReader reader{bytes, path.native()};
  return detail::llama2c_configuration(reader);
}

LORU_INLINE Pretrained load_pretrained(const std::filesystem::path& path, const PretrainedOptions& options) {
  if (std::filesystem::is_directory(path)) {
    const TransformerConfiguration configuration = load_configuration(path);
    return pretrained_of(detail::load_folder(path), configuration);
  }
  if (path.extension() == ".gguf") return pretrained_of(Gguf::load(path), options);
  if (path.extension() == ".bin") return read_llama2c(read_file(path), path.native());
  detail::refuse_weights(path);
}

}  // namespace loru::inline LORU_ISA::io
