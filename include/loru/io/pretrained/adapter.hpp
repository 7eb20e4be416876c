#pragma once
// Adapters in PEFT's format: a folder with adapter_config.json and adapter_model.safetensors.

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/io/archive.hpp>
#include <loru/io/json.hpp>

namespace loru::inline LORU_ISA::io {

/// The update of one layer, alpha / r · B·A.
struct AdapterLayer {
  Tensor<double> a;    ///< (r, n), of a convolution (r, Cin, kh, kw)
  Tensor<double> b;    ///< (m, r)
  double alpha = 0.0;  ///< with rsLoRA √r times that of the file

  Index rank() const { return b.dim(1); }
};

/// The updates of a model's layers, and what was trained beside them. Names are those of the model.
struct Adapter {
  std::string origin = "adapter";  ///< how errors name it
  std::map<std::string, AdapterLayer> layers = {};
  std::vector<std::string> modules = {};  ///< saved whole ("modules_to_save"): names, or their last parts
  /// Parameters and statistics of these modules, and biases of the layers.
  std::map<std::string, Tensor<double>> values = {};
  bool rslora = false;                    ///< whether the file scales by alpha / √r
  std::vector<std::string> targets = {};  ///< names of the layers, or their last parts; empty: not known
};

/// Whether a name is `end` or ends with it after a dot.
inline bool ends_with_part(std::string_view name, std::string_view end) {
  return name == end ||
         (name.size() > end.size() && name.ends_with(end) && name[name.size() - end.size() - 1] == '.');
}

/// The adapter of a configuration and its tensors, of type F64, F32, F16 or BF16. Throws DataError naming key
/// or tensor, what was expected and what came: for another method than LoRA, a key that would compute
/// something else (DoRA, an initialisation that changes W), a pattern that is more than a name, a tensor that
/// is missing, too many, or of another rank than the configuration says. Source: PEFT 0.21.2.
LORU_INLINE Adapter adapter_of(const Archive& tensors, const Json& configuration, std::string_view origin);

/// The adapter of a folder. Throws IoError, and DataError as above.
LORU_INLINE Adapter load_adapter(const std::filesystem::path& folder);

/// PEFT's name of a tensor of an adapter.
inline std::string peft_name(const std::string& name) { return "base_model.model." + name; }

namespace detail {

/// The values in another type, row-major, of that shape.
template <class To, class From>
Tensor<To> cast(const Tensor<From>& from, const Shape& shape) {
  const Tensor<From> values = row_major(from);
  Tensor<To> to{shape};
  std::transform(values.data(), values.data() + values.size(), to.data(),
                 [](From x) { return static_cast<To>(x); });
  return to;
}

}  // namespace detail

/// The tensors of adapter_model.safetensors, in T.
template <class T>
Archive to_archive(const Adapter& adapter) {
  Archive archive("adapter");
  archive.metadata()["format"] = "pt";
  const auto put = [&](const std::string& name, const Tensor<double>& x, const Shape& shape) {
    archive.share(peft_name(name), detail::cast<T>(x, shape));
  };
  for (const auto& [layer, f] : adapter.layers) {
    const bool convolution = f.a.shape().rank() == 4;
    put(layer + ".lora_A.weight", f.a, f.a.shape());
    put(layer + ".lora_B.weight", f.b,
        convolution ? Shape{f.b.dim(0), f.rank(), 1, 1} : Shape{f.b.dim(0), f.rank()});
  }
  constexpr std::string_view bias = ".bias", variance = ".running_var";
  for (const auto& [name, value] : adapter.values) {
    const std::string layer = name.substr(0, name.size() - std::min(name.size(), bias.size()));
    const bool of_layer = name.ends_with(bias) && adapter.layers.contains(layer);
    put(of_layer ? layer + ".base_layer.bias" : name, value, value.shape());
    if (!name.ends_with(variance)) continue;
    Tensor<std::int64_t> batches{Shape{}};  // PyTorch's BatchNorm counts them; nothing here depends on it
    *batches.data() = 0;
    archive.share(peft_name(name.substr(0, name.size() - variance.size()) + ".num_batches_tracked"), batches);
  }
  return archive;
}

}  // namespace loru::inline LORU_ISA::io

#ifndef LORU_COMPILED
#include <loru/io/pretrained/adapter_bodies.hpp>
#endif
