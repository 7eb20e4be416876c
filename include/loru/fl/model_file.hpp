#pragma once
// Models as safetensors files: W as `<layer>.weight`, factors not merged yet as `<layer>.lora_A.weight` (r, n) and
// `<layer>.lora_B.weight` (m, r), alpha in the metadata, buffers by their names; all row-major.

#include <filesystem>

#include <loru/fl/message.hpp>
#include <loru/lowrank/factorize.hpp>

namespace loru::io {

/// The whole model as an archive that shares its tensors.
template <class T, class D>
Archive to_archive(nn::Model<T, D>& model) {
  Archive archive("model");
  for (const auto& [name, v] : model.parameters()) archive.share(name, v.value());
  for (const auto& [name, t] : model.buffers()) archive.share(name, t);
  lowrank::for_each_factored(model, [&](const std::string&, nn::Factored<T, D>& layer) {
    archive.metadata()["alpha"] = fl::detail::to_text(layer.alpha());
  });
  return archive;
}

/// Writes the model, atomically. Throws IoError.
template <class T, class D>
void save(nn::Model<T, D>& model, const std::filesystem::path& path) {
  save(path, to_archive(model));
}

/// Sets the model's weights, factors and buffers from the archive. Layers that have factors there become factored,
/// with the archive's rank and alpha. Throws DataError for a tensor that is missing or of another shape.
template <class T, class D>
void from_archive(nn::Model<T, D>& model, const Archive& archive) {
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (!archive.contains(layer + ".lora_A.weight") || weight.template as<nn::Factored<T, D>>()) return;
    const Tensor<T, D> a = archive.get<T>(layer + ".lora_A.weight");
    const auto alpha = fl::detail::number<double>(archive, "alpha");
    weight = nn::Weight<T, D>(nn::Factored<T, D>(
        weight.effective(), to_layout(a, Layout::channels_last), archive.get<T>(layer + ".lora_B.weight"),
        {alpha, 0.0, lowrank::plan_rule(lowrank::PlanChoice::automatic)}));
  }});
  const auto read = [&](const std::string& name, const Tensor<T, D>& like) {
    return to_layout(archive.get<T>(name, like.shape()), like.layout());
  };
  model.visit(
      {.parameter = [&](const std::string& name, Variable<T, D>& v) { v.set_value(read(name, v.value())); },
       .buffer = [&](const std::string& name, Tensor<T, D>& t) { t = read(name, t); }});
}

/// Reads a model file into a model of the same layers. Throws IoError, DataError.
template <class T, class D>
void load(nn::Model<T, D>& model, const std::filesystem::path& path) {
  from_archive(model, load(path));
}

}  // namespace loru::io
