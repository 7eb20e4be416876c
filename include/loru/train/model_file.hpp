#pragma once
// Models as safetensors files: W as `<layer>.weight`, factors not merged yet as `<layer>.lora_A.weight` (r,
// n) and `<layer>.lora_B.weight` (m, r), buffers by their names; all row-major. Metadata: `alpha`, and
// `<layer>.alpha` for layers that have another.

#include <cstring>
#include <filesystem>
#include <set>

#include <loru/core/text.hpp>
#include <loru/io/safetensors.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::io {

/// The whole model as an archive, which shares the tensors of a model on the host. Weights in blocks are
/// their values in F32, decoded when the archive is read or written.
template <class T, class D>
Archive to_archive(nn::Model<T, D>& model) {
  Archive archive("model");
  for (const auto& [name, v, role] : model.parameters())
    v.blocks() ? archive.share(name, *v.blocks()) : archive.share(name, to_host(v.value()));
  for (const auto& [name, t, role] : model.buffers()) archive.share(name, to_host(t));
  lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    const std::string alpha = to_text(weight.alpha());
    if (archive.metadata().emplace("alpha", alpha).first->second != alpha)
      archive.metadata()[layer + ".alpha"] = alpha;
  });
  return archive;
}

namespace detail {

/// A number of the metadata.
inline double stored_alpha(const Archive& archive, const std::string& key) {
  const auto found = archive.metadata().find(key);
  require<DataError>(found != archive.metadata().end(), archive.origin(), ": expected metadata '", key, "'");
  const auto alpha = parse_number<double>(found->second);
  require<DataError>(alpha.has_value(), archive.origin(), ": metadata '", key, "': expected a number, got '",
                     found->second, "'");
  return *alpha;
}

/// The factored weight of a layer that has factors in the archive.
template <class T, class D>
nn::Factored<T, D> stored_factors(const Archive& archive, const std::string& layer, const Variable<T, D>& w,
                                  double alpha) {
  const std::string a = nn::factor_name(layer, nn::Role::down), b = nn::factor_name(layer, nn::Role::up);
  const Index rank = archive.raw(a).shape[0];
  require<DataError>(rank >= 1, archive.origin(), ": tensor ", a, ": expected at least one row, got shape ",
                     archive.raw(a).shape);
  const auto factor = [](const Tensor<T>& value) { return Variable<T, D>(to_device<D>(value), true); };
  return {w,
          factor(to_layout(archive.get<T>(a, lowrank::factor_shape(w.shape(), rank)), w.layout())),
          factor(archive.get<T>(b, {w.shape()[0], rank})),
          {alpha, 0.0, lowrank::plan_rule(lowrank::PlanChoice::automatic)}};
}

/// Throws DataError for a tensor that a layer of this name does not have: it belongs to another
/// parametrisation, without which the layer's weight is another.
template <class T, class D>
void require_own(nn::Model<T, D>& model, const Archive& archive) {
  std::set<std::string> own;
  for (const auto& parameter : model.parameters()) own.insert(parameter.name);
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>&) {
    for (const auto& [name, tensor] : archive.tensors())
      require<DataError>(!name.starts_with(layer + '.') || own.contains(name), archive.origin(), ": tensor ",
                         name, ": expected a layer ", layer, " that is parametrised by it");
  }});
}

/// Whether a constant is kept in blocks whose values are the bytes of a tensor.
template <class T, class D>
bool holds(const Variable<T, D>& constant, const RawTensor& raw) {
  const BlockTensor* blocks = constant.blocks();
  if (!blocks || raw.dtype != DType::f32 || raw.shape != blocks->shape) return false;
  if (raw.blocks)
    return raw.blocks->type == blocks->type && std::ranges::equal(raw.blocks->bytes, blocks->bytes);
  bool same = true;
  const RawTensor own{DType::f32, blocks->shape, {}, nullptr, std::make_shared<const BlockTensor>(*blocks)};
  own.for_each_piece([&, at = raw.bytes.data()](const auto& piece) mutable {
    same = same && std::memcmp(piece.data(), at, piece.size()) == 0;
    at += piece.size();
  });
  return same;
}

}  // namespace detail

/// Writes the model, atomically. Throws IoError.
template <class T, class D>
void save(nn::Model<T, D>& model, const std::filesystem::path& path) {
  save(path, to_archive(model));
}

/// Sets the model's weights, factors and buffers from the archive. Layers that have factors there become
/// factored, with the archive's rank and alpha; layers that are factored already must have these. Weights in
/// blocks stay so if they have the archive's values. Throws DataError for a tensor that is missing, of
/// another shape or of another parametrisation of its layer, and for another alpha.
template <class T, class D>
void from_archive(nn::Model<T, D>& model, const Archive& archive) {
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (!archive.contains(nn::factor_name(layer, nn::Role::down))) return;
    const std::string own = layer + ".alpha";
    const double alpha = detail::stored_alpha(archive, archive.metadata().contains(own) ? own : "alpha");
    if (const auto* factored = weight.template as<nn::Factored<T, D>>())
      require<DataError>(factored->alpha() == alpha, archive.origin(), ": layer ", layer, ": expected alpha ",
                         factored->alpha(), ", got ", alpha);
    else
      weight = nn::Weight<T, D>(detail::stored_factors<T, D>(archive, layer, weight.constant(), alpha));
  }});
  detail::require_own(model, archive);
  const auto read = [&](const std::string& name, const auto& like) {
    return to_device<D>(to_layout(archive.get<T>(name, like.shape()), like.layout()));
  };
  model.visit({.parameter =
                   [&](const std::string& name, Variable<T, D>& v) {
                     if (!archive.contains(name) || !detail::holds(v, archive.raw(name)))
                       v.set_value(read(name, v));
                   },
               .buffer = [&](const std::string& name, Tensor<T, D>& t) { t = read(name, t); }});
}

/// Reads a model file into a model of the same layers. Throws IoError, DataError.
template <class T, class D>
void load(nn::Model<T, D>& model, const std::filesystem::path& path) {
  from_archive(model, load(path));
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_MODEL_FILE(TEMPLATE, T)         \
  TEMPLATE Archive to_archive<T, Cpu>(nn::Model<T>&); \
  TEMPLATE void from_archive<T, Cpu>(nn::Model<T>&, const Archive&);
#ifdef LORU_COMPILED
LORU_COMPILED_MODEL_FILE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::io
