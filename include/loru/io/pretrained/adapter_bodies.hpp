#pragma once
// Bodies of adapter.hpp.

#include <cmath>
#include <cstring>
#include <iterator>
#include <type_traits>
#include <utility>

#include <loru/core/half.hpp>
#include <loru/io/json_bodies.hpp>
#include <loru/io/pretrained/adapter.hpp>
#include <loru/io/safetensors_bodies.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

inline constexpr Index most_rank = Index{1} << 20;
inline constexpr std::size_t most_entries = 4096;  // of a list or pattern: each is held against each layer

/// A part of a file's text that is short enough for an error.
inline std::string shortened(std::string_view text) { return std::string(text.substr(0, 160)); }

template <std::size_t N>
bool among(const std::string_view (&list)[N], std::string_view word) {
  return std::find(std::begin(list), std::end(list), word) != std::end(list);
}

/// null, false, [] or {}.
inline bool switched_off(const Json& json) {
  if (const auto* flag = std::get_if<bool>(&json.value)) return !*flag;
  if (const auto* array = std::get_if<Json::Array>(&json.value)) return array->empty();
  if (const auto* object = std::get_if<Json::Object>(&json.value)) return object->empty();
  return std::holds_alternative<std::nullptr_t>(json.value);
}

/// Throws unless everything that the file says of its method is LoRA as W + s·B·A.
inline void require_lora(const JsonPlace& place) {
  constexpr std::string_view known[] = {
      "peft_type", "r",          "lora_alpha",   "target_modules", "modules_to_save",
      "bias",      "use_rslora", "rank_pattern", "alpha_pattern",  "init_lora_weights"};
  constexpr std::string_view harmless[] = {
      "task_type",           "base_model_name_or_path", "auto_mapping",  "revision",
      "peft_version",        "inference_mode",          "lora_dropout",  "layers_pattern",
      "layers_to_transform", "exclude_modules",         "megatron_core", "qalora_group_size",
      "eva_config",          "ensure_weight_tying"};
  constexpr std::string_view starts[] = {"gaussian", "orthogonal", "eva"};  // that leave W as it is
  const JsonPlace type = place["peft_type"];
  if (type.text() != "LORA") type.refuse("\"LORA\"", concat('"', shortened(type.text()), '"'));
  for (const auto& [key, value] : place.object())
    if (!among(known, key) && !among(harmless, key) && !switched_off(value))
      JsonPlace(value, concat(place.where(), ": ", shortened(key)))
          .refuse("null, false or nothing in it", std::holds_alternative<bool>(value.value) ? "true" : "");
  const std::string bias = place.text_or("bias", "none");
  if (bias != "none" && bias != "lora_only")
    place["bias"].refuse("\"none\" or \"lora_only\"", concat('"', shortened(bias), '"'));
  if (!place.has("init_lora_weights")) return;
  const JsonPlace start = place["init_lora_weights"];
  if (std::holds_alternative<bool>(start.value().value) || among(starts, start.text())) return;
  start.refuse("a start that leaves W as it is", concat('"', shortened(start.text()), '"'));
}

inline void require_few(const JsonPlace& place, std::size_t entries) {
  if (entries > most_entries) place.refuse(concat("at most ", most_entries, " entries"), concat(entries));
}

/// The strings of a list; none where it is null.
inline std::vector<std::string> texts(const JsonPlace& place, std::string_view key) {
  std::vector<std::string> all;
  if (!place.has(key)) return all;
  const JsonPlace list = place[key];
  require_few(list, list.array().size());
  for (const Json& text : list.array()) all.push_back(JsonPlace(text, list.where()).text());
  return all;
}

/// A key of rank_pattern or alpha_pattern: a layer's name, with ^ before a whole one, or its last parts. PEFT
/// takes it as a regular expression, of which only this is understood.
struct LayerPattern {
  std::string name;
  bool whole = false;

  LayerPattern(std::string_view key, const JsonPlace& place) {
    whole = key.starts_with('^');
    if (whole) key.remove_prefix(1);
    if (key.ends_with('$')) key.remove_suffix(1);
    for (std::size_t i = 0; i < key.size(); ++i) {
      if (key.substr(i, 2) == "\\.") ++i;
      const bool literal = key[i] == '.' || std::string_view("\\^$*+?()[]{}|").find(key[i]) == key.npos;
      if (!literal) place.refuse("a layer's name", concat('"', shortened(key), '"'));
      name += key[i];
    }
  }
  bool matches(std::string_view layer) const { return whole ? layer == name : ends_with_part(layer, name); }
};

/// The value that a layer has by the first pattern that matches, or what it has without one.
template <class V>
class PerLayer {
 public:
  template <class Read>
  PerLayer(const JsonPlace& place, std::string_view key, V otherwise, Read read) : otherwise_{otherwise} {
    if (!place.has(key)) return;
    const JsonPlace layers = place[key];
    require_few(layers, layers.object().size());
    for (const auto& member : layers.object()) {
      const JsonPlace value(member.second, concat(layers.where(), '.', shortened(member.first)));
      values_.emplace_back(LayerPattern(member.first, value), read(value));
    }
  }
  V operator()(std::string_view layer) const {
    for (const auto& [pattern, value] : values_)
      if (pattern.matches(layer)) return value;
    return otherwise_;
  }

 private:
  V otherwise_;
  std::vector<std::pair<LayerPattern, V>> values_;
};

/// A scale: with 0 an adapter changes nothing, nor can it be trained.
inline double scale_of(const JsonPlace& place) {
  const double value = place.number();
  if (!std::isfinite(value) || value == 0.0) place.refuse("a finite number other than 0", concat(value));
  return value;
}

template <class Number>
Tensor<double> decoded(const RawTensor& raw) {
  Tensor<double> values{raw.shape};
  raw.for_each_piece([to = values.data()](const auto& piece) mutable {
    for (std::size_t at = 0; at < piece.size(); at += sizeof(Number)) {
      Number number;
      std::memcpy(&number, piece.data() + at, sizeof number);
      if constexpr (std::is_arithmetic_v<Number>)
        *to++ = number;
      else
        *to++ = static_cast<float>(number);
    }
  });
  return values;
}

/// The tensors of adapter_model.safetensors, told apart by their names.
class AdapterReader {
 public:
  AdapterReader(const Archive& tensors, const JsonPlace& place, std::string_view origin)
      : tensors_{tensors},
        ranks_{place, "rank_pattern", place.whole_or("r", 1, most_rank, 8),
               [](const JsonPlace& rank) { return rank.whole(1, most_rank); }},
        alphas_{place, "alpha_pattern", place.has("lora_alpha") ? scale_of(place["lora_alpha"]) : 8.0,
                scale_of},
        biases_{place.text_or("bias", "none") == "lora_only"} {
    adapter_.origin = origin;
    adapter_.rslora = place.flag_or("use_rslora", false);
    adapter_.modules = texts(place, "modules_to_save");
    if (!place.has("target_modules") || place.has("layers_to_transform") || place.has("exclude_modules"))
      return;
    const JsonPlace targets = place["target_modules"];
    if (std::holds_alternative<std::string>(targets.value().value)) {
      if (targets.text().empty()) targets.refuse("the name of at least one layer", "\"\"");
      read_expression(targets.text());
      return;
    }
    adapter_.targets = texts(place, "target_modules");
    if (adapter_.targets.empty()) targets.refuse("the name of at least one layer", "[]");
  }

  Adapter read() {
    for (const auto& [name, raw] : tensors_.tensors()) place(name, raw);
    for (auto& [layer, factors] : adapter_.layers) check(layer, factors);
    require<DataError>(!adapter_.layers.empty(), adapter_.origin, ": expected a tensor ",
                       peft_name("<layer>.lora_A.weight"), ", got none among ", tensors_.size());
    return std::move(adapter_);
  }

 private:
  /// A regular expression that lists whole names is read; of another, and of PEFT's word for all layers, the
  /// layers are not known.
  void read_expression(std::string_view expression) {
    if (expression == "all-linear") return;
    std::vector<std::string> names(1);
    for (std::size_t i = 0; i < expression.size(); ++i) {
      const bool dot = expression.substr(i, 2) == "\\.";
      if (dot) ++i;
      if (expression[i] == '|' && !dot)
        names.emplace_back();
      else if (dot || std::string_view(".\\^$*+?()[]{}").find(expression[i]) == std::string_view::npos)
        names.back() += expression[i];
      else
        return;
    }
    if (names.size() <= most_entries) adapter_.targets = std::move(names);
  }

  void place(const std::string& name, const RawTensor& raw) {
    constexpr std::string_view prefix = "base_model.model.", a = ".lora_A.weight", b = ".lora_B.weight",
                               bias = ".base_layer.bias", batches = ".num_batches_tracked";
    std::string_view rest = name;
    const auto cut = [&](std::string_view end) {
      return std::string(rest.substr(0, rest.size() - end.size()));
    };
    const bool prefixed = rest.starts_with(prefix);
    if (prefixed) rest.remove_prefix(prefix.size());
    if (prefixed && rest.ends_with(a)) return void(adapter_.layers[cut(a)].a = numbers(name, raw));
    if (prefixed && rest.ends_with(b)) return void(adapter_.layers[cut(b)].b = numbers(name, raw));
    if (prefixed && biases_ && rest.ends_with(bias)) return put(cut(bias) + ".bias", name, raw);
    require<DataError>(prefixed && rest.find("lora_") == rest.npos && rest.find(".base_layer.") == rest.npos,
                       adapter_.origin, ": tensor ", shortened(name), ": expected ", prefix,
                       "<layer>.lora_A.weight, lora_B.weight or a parameter's name, got shape ", raw.shape);
    // PEFT, too, sets whatever the model has under the name, in modules_to_save or not.
    if (!rest.ends_with(batches)) put(std::string(rest), name, raw);
  }

  void put(const std::string& value, const std::string& name, const RawTensor& raw) {
    require<DataError>(adapter_.values.emplace(value, numbers(name, raw)).second, adapter_.origin,
                       ": tensor ", shortened(name), ": expected one for each parameter, got two");
  }

  Tensor<double> numbers(const std::string& name, const RawTensor& raw) const {
    const Tensor<double> x = in_double(name, raw);
    for (const double value : x.span())
      require<DataError>(std::isfinite(value), adapter_.origin, ": tensor ", shortened(name),
                         ": expected finite numbers, got ", value);
    return x;
  }

  Tensor<double> in_double(const std::string& name, const RawTensor& raw) const {
    switch (raw.dtype) {
      case DType::f64: return decoded<double>(raw);
      case DType::f32: return decoded<float>(raw);
      case DType::f16: return decoded<Half>(raw);
      case DType::bf16: return decoded<BFloat16>(raw);
      default:
        fail<DataError>(adapter_.origin, ": tensor ", shortened(name),
                        ": expected F64, F32, F16 or BF16, got ", to_string(raw.dtype));
    }
  }

  /// Shapes, and what the configuration says of the layer.
  void check(const std::string& layer, AdapterLayer& f) const {
    const std::string a = peft_name(layer + ".lora_A.weight"), b = peft_name(layer + ".lora_B.weight");
    require<DataError>(f.a && f.b, adapter_.origin, ": tensor ", shortened(f.a ? b : a),
                       ": expected it beside ", f.a ? "lora_A" : "lora_B", ", got none");
    const auto wrong = [&](const std::string& name, const Shape& shape, const auto&... expected) {
      fail<DataError>(adapter_.origin, ": tensor ", shortened(name), ": expected ", expected...,
                      ", got shape ", shape);
    };
    const Shape &sa = f.a.shape(), &sb = f.b.shape();
    const Index r = ranks_(layer);
    if ((sa.rank() != 2 && sa.rank() != 4) || sa[0] != r || sa.size() == 0)
      wrong(a, sa, '(', r, ", n) or (", r, ", n, kh, kw) as the rank is ", r);
    const bool plain = sa.rank() == 2 && sb.rank() == 2, window = sa.rank() == 4 && sb.rank() == 4;
    if (!(plain || (window && sb[2] == 1 && sb[3] == 1)) || sb[1] != r || sb.size() == 0)
      wrong(b, sb, "(m, ", r, plain || sa.rank() == 2 ? ")" : ", 1, 1)", " as the rank is ", r);
    require<DataError>(!adapter_.values.contains(layer + ".weight"), adapter_.origin, ": tensor ",
                       shortened(peft_name(layer + ".weight")), ": expected none beside lora_A, got one");
    f.b = f.b.reshape({sb[0], r});
    f.alpha = alphas_(layer) * (adapter_.rslora ? std::sqrt(static_cast<double>(r)) : 1.0);
    const auto& targets = adapter_.targets;
    require<DataError>(targets.empty() || std::any_of(targets.begin(), targets.end(),
                                                      [&](auto& end) { return ends_with_part(layer, end); }),
                       adapter_.origin, ": tensor ", shortened(a), ": expected a layer of target_modules");
  }

  const Archive& tensors_;
  PerLayer<Index> ranks_;
  PerLayer<double> alphas_;
  bool biases_;
  Adapter adapter_;
};

}  // namespace detail

LORU_INLINE Adapter adapter_of(const Archive& tensors, const Json& configuration, std::string_view origin) {
  const JsonPlace place(configuration, std::string(origin));
  detail::require_lora(place);
  return detail::AdapterReader(tensors, place, tensors.origin()).read();
}

LORU_INLINE Adapter load_adapter(const std::filesystem::path& folder) {
  const std::filesystem::path configuration = folder / "adapter_config.json";
  const Json json = load_json(configuration);
  return adapter_of(load(folder / "adapter_model.safetensors"), json, configuration.native());
}

}  // namespace loru::inline LORU_ISA::io
