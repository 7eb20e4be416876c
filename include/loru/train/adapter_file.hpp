#pragma once
// Models and adapters in PEFT's format: factors to start from, and a model's factors as an adapter.

#include <functional>
#include <set>

#include <loru/io/pretrained/adapter.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/stack.hpp>
#include <loru/lowrank/visit.hpp>

namespace loru::inline LORU_ISA::io {

namespace detail {

/// The name that is `wanted`, or the only one that ends with it: a bare BertModel has no "bert.". Null if
/// there is none.
inline const std::string* find_name(const std::vector<std::string>& names, std::string_view wanted) {
  const std::string* found = nullptr;
  for (const std::string& name : names) {
    if (name == wanted) return &name;
    if (!ends_with_part(name, wanted)) continue;
    if (found) return nullptr;
    found = &name;
  }
  return found;
}

/// Throws DataError unless the tensor has the shape.
inline void require_adapter_shape(const Adapter& adapter, const std::string& tensor, const Shape& expected,
                                  const Shape& got) {
  require<DataError>(got == expected, adapter.origin, ": tensor ", peft_name(tensor), ": expected shape ",
                     expected, ", got ", got);
}

/// Throws DataError: the model has nothing of that name.
[[noreturn]] inline void refuse_name(const Adapter& adapter, const std::string& tensor, const char* what,
                                     const std::vector<std::string>& names, const std::string& name) {
  fail<DataError>(adapter.origin, ": tensor ", peft_name(tensor).substr(0, 160), ": expected a ", what,
                  " of the model, nearest is ", nearest(name.substr(0, 160), names),
                  ", got none of this name");
}

/// "x" of "x.weight": the module of a parameter.
inline std::string module_of(const std::string& parameter) {
  return parameter.substr(0, parameter.rfind('.') == std::string::npos ? 0 : parameter.rfind('.'));
}

/// Shapes of parameters and buffers, by name.
template <class T, class D>
std::map<std::string, Shape> value_shapes(nn::Model<T, D>& model) {
  std::map<std::string, Shape> shapes;
  for (const auto& p : model.parameters()) shapes[p.name] = p.value.shape();
  for (const auto& b : model.buffers()) shapes[b.name] = b.value.shape();
  return shapes;
}

/// Throws DataError for a target layer without factors, and for a saved module without one of its parameters.
inline void require_complete(const Adapter& adapter, const std::vector<std::string>& layers,
                             const std::map<std::string, Shape>& shapes) {
  const auto missing = [&](const std::string& tensor, const char* key, const std::string& entry) {
    fail<DataError>(adapter.origin, ": tensor ", peft_name(tensor), ": expected it, as ", key, " has ", entry,
                    ", got none");
  };
  for (const std::string& target : adapter.targets)
    for (const std::string& layer : layers)
      if (ends_with_part(layer, target) && !adapter.layers.contains(layer) &&
          !adapter.values.contains(nn::weight_name(layer)))
        missing(layer + ".lora_A.weight", "target_modules", target);
  for (const std::string& module : adapter.modules)
    for (const auto& [name, shape] : shapes)
      if (concat('.', name).find(concat('.', module, '.')) != std::string::npos &&
          !adapter.values.contains(name))
        missing(name, "modules_to_save", module);
}

}  // namespace detail

/// The adapter under the names of the model, a dense one. Throws DataError naming the tensor, what was
/// expected and what came, for a layer or parameter that the model does not have, a wrong shape, and what is
/// missing.
template <class T, class D>
Adapter bind_adapter(Adapter adapter, nn::Model<T, D>& model) {
  std::map<std::string, Shape> weights;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& w) { weights[layer] = w.shape(); }});
  const std::map<std::string, Shape> shapes = detail::value_shapes(model);
  std::vector<std::string> layers, names;
  for (const auto& [layer, shape] : weights) layers.push_back(layer);
  for (const auto& [name, shape] : shapes) names.push_back(name);
  std::map<std::string, AdapterLayer> own_layers;
  for (auto& [layer, f] : adapter.layers) {
    const std::string a = layer + ".lora_A.weight", b = layer + ".lora_B.weight";
    const std::string* name = detail::find_name(layers, layer);
    if (!name) detail::refuse_name(adapter, a, "layer", layers, layer);
    const Shape& w = weights.at(*name);
    detail::require_adapter_shape(adapter, a, lowrank::factor_shape(w, f.rank()), f.a.shape());
    detail::require_adapter_shape(adapter, b, {w[0], f.rank()}, f.b.shape());
    require<DataError>(own_layers.emplace(*name, std::move(f)).second, adapter.origin, ": tensor ",
                       peft_name(a), ": expected one for the layer ", *name, ", got two");
  }
  std::map<std::string, Tensor<double>> own_values;
  for (auto& [value, x] : adapter.values) {
    const std::string* name = detail::find_name(names, value);
    if (!name) detail::refuse_name(adapter, value, "parameter", names, value);
    detail::require_adapter_shape(adapter, value, shapes.at(*name), x.shape());
    require<DataError>(own_values.emplace(*name, std::move(x)).second, adapter.origin, ": tensor ",
                       peft_name(value), ": expected one for ", *name, ", got two");
  }
  adapter.layers = std::move(own_layers);
  adapter.values = std::move(own_values);
  detail::require_complete(adapter, layers, shapes);
  return adapter;
}

/// How a model's layers are factorised to take a bound adapter: its layers with their ranks.
template <class T, class D>
lowrank::FactorizeOptions adapter_options(const Adapter& adapter, nn::Model<T, D>& model,
                                          lowrank::FactorizeOptions o) {
  o.layers.clear();
  o.ranks.clear();
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>&) {
    const auto found = adapter.layers.find(layer);
    if (found == adapter.layers.end()) return;
    o.layers.push_back(layer);
    o.ranks.push_back(found->second.rank());
  }});
  o.rslora = adapter.rslora;
  o.small_layers = lowrank::SmallLayers::factor;
  o.start = {};
  return o;
}

/// Gives the layers W + s·B·A of a model the factors and scales of a bound adapter, and the parameters that
/// it saves their values. Throws ConfigError for a layer that is not W + s·B·A.
template <class T, class D>
void set_adapter(nn::Model<T, D>& model, const Adapter& adapter) {
  const auto on_device = [](const Tensor<double>& x, Layout layout) {
    return to_device<D>(to_layout(detail::cast<T>(x, x.shape()), layout));
  };
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    const auto found = adapter.layers.find(layer);
    if (found == adapter.layers.end()) return;
    auto* factored = weight.template as<nn::Factored<T, D>>();
    require<ConfigError>(factored, adapter.origin, ": layer ", layer,
                         ": expected a layer that is W + s·B·A, got another");
    auto options = factored->options();
    options.alpha = found->second.alpha;
    const Tensor<T, D> a = on_device(found->second.a, factored->a().layout());
    const Tensor<T, D> b = to_device<D>(detail::cast<T>(found->second.b, found->second.b.shape()));
    weight = nn::Weight<T, D>(nn::Factored<T, D>(factored->base().constant(), Variable<T, D>(a, true),
                                                 Variable<T, D>(b, true), options));
  }});
  model.visit({.parameter =
                   [&](const std::string& name, Variable<T, D>& v) {
                     const auto found = adapter.values.find(name);
                     if (found != adapter.values.end()) v.set_value(on_device(found->second, v.layout()));
                   },
               .buffer =
                   [&](const std::string& name, Tensor<T, D>& t) {
                     const auto found = adapter.values.find(name);
                     if (found != adapter.values.end()) t = on_device(found->second, t.layout());
                   }});
}

/// Factorises a dense model to begin where the adapter ends. Layers, ranks and scales are the adapter's, the
/// rest is as in `o`. Throws as bind_adapter() and lowrank::factorize() do.
template <class T, class D>
std::vector<std::string> add_adapter(nn::Model<T, D>& model, const Adapter& adapter,
                                     const lowrank::FactorizeOptions& o = {}) {
  const Adapter own = bind_adapter(adapter, model);
  auto layers = lowrank::factorize(model, adapter_options(own, model, o));
  set_adapter(model, own);
  return layers;
}

/// What an adapter is to hold besides the model's own factors.
template <class T>
struct AdapterOptions {
  /// By layer, updates that W has had since the weights were published, each weight·s·B·A with the layer's s.
  std::map<std::string, std::vector<lowrank::Term<T>>> merged = {};
  /// Names of the published parameters, none for a model that was drawn. What is not among them is saved
  /// whole.
  std::set<std::string> published = {};
  /// Names of parameters that are not trained and yet no longer as published: what an adapter set that the
  /// model began at. They are saved whole.
  std::set<std::string> changed = {};
  bool rslora = false;
};

namespace detail {

/// Whether PEFT, which looks at the ends of names, would take a further module for `module`. It has to go
/// without an entry in modules_to_save then; PEFT sets its parameters nevertheless.
inline bool names_others(const std::string& module, const std::set<std::string>& modules,
                         const std::map<std::string, Shape>& shapes) {
  return std::any_of(shapes.begin(), shapes.end(), [&](const auto& parameter) {
    const std::string other = module_of(parameter.first);
    return other.ends_with(module) && !modules.contains(other);
  });
}

/// Adds what an adapter saves whole: modules with a parameter that is trained, has changed or was never
/// published, and such biases of the layers.
template <class T, class D>
void add_values(Adapter& adapter, nn::Model<T, D>& model, const AdapterOptions<T>& o) {
  std::set<std::string> modules, factors;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    const bool known = o.published.empty() || o.published.contains(nn::weight_name(layer));
    if (!known) modules.insert(layer);
    weight.visit({.parameter = [&](const std::string& name, auto&) { factors.insert(name); }}, layer);
    if (weight.template as<nn::Dense<T, D>>()) factors.erase(nn::weight_name(layer));
  }});
  const auto is_saved = [&](const auto& p) {
    return p.value.requires_grad() || o.changed.contains(p.name) ||
           !(o.published.empty() || o.published.contains(p.name));
  };
  for (const auto& p : model.parameters())
    if (!factors.contains(p.name) && is_saved(p) && !adapter.layers.contains(module_of(p.name)))
      modules.insert(module_of(p.name));
  for (const auto& b : model.buffers()) modules.insert(module_of(b.name));
  const auto put = [&](const std::string& name, const Tensor<T, D>& x) {
    adapter.values[name] = cast<double>(to_host(x), x.shape());
  };
  for (const auto& p : model.parameters())
    if (!factors.contains(p.name) && (modules.contains(module_of(p.name)) || is_saved(p)))
      put(p.name, p.value.decoded());
  for (const auto& b : model.buffers()) put(b.name, b.value);
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (modules.contains(layer) && !weight.template as<nn::Dense<T, D>>())
      put(nn::weight_name(layer), weight.effective());
  }});
  const std::map<std::string, Shape> shapes = value_shapes(model);
  for (const std::string& module : modules)
    if (!names_others(module, modules, shapes)) adapter.modules.push_back(module);
}

}  // namespace detail

/// The model as an adapter to the weights that it began with. In each layer W + s·B·A the merged updates and
/// the layer's own are stacked: A' = [A_1; …; A_k; A], B' = [B_1 … B_k B], rank r' the sum of theirs and
/// alpha' = s·r', so that s·B'·A' is the whole update exactly. Trained modules, and those that were not
/// published, are saved whole. Throws ConfigError for a layer of another parametrisation, and if no layer is
/// W + s·B·A.
template <class T, class D>
Adapter to_adapter(nn::Model<T, D>& model, const AdapterOptions<T>& o = {}) {
  Adapter adapter{.rslora = o.rslora};
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    if (!o.published.empty() && !o.published.contains(nn::weight_name(layer))) return;
    if (weight.template as<nn::Dense<T, D>>()) return;
    NoGrad guard;
    const nn::WeightForm<T, D> form = weight.form();
    require<ConfigError>(static_cast<bool>(form.a), "adapter: layer ", layer,
                         ": expected W + s·B·A, got another parametrisation");
    std::vector<lowrank::Term<T>> terms;
    if (const auto found = o.merged.find(layer); found != o.merged.end()) terms = found->second;
    terms.push_back({1.0, to_host(form.a.value()), to_host(form.b.value())});
    const lowrank::Factors<T> all = lowrank::stack(terms);
    const Index rank = all.b.dim(1);
    adapter.layers[layer] = {detail::cast<double>(all.a, all.a.shape()),
                             detail::cast<double>(all.b, all.b.shape()),
                             form.scale * static_cast<double>(rank)};
  }});
  require<ConfigError>(!adapter.layers.empty(), "adapter: expected layers W + s·B·A, got none");
  detail::add_values(adapter, model, o);
  return adapter;
}

/// The weights with every update merged in, under the names that they have without factors, and the buffers.
template <class T, class D>
Archive merged_archive(nn::Model<T, D>& model) {
  Archive archive("model");
  archive.metadata()["format"] = "pt";
  std::set<std::string> factors;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    weight.visit({.parameter = [&](const std::string& name, auto&) { factors.insert(name); }}, layer);
    archive.share(nn::weight_name(layer), to_host(weight.effective()));
  }});
  for (const auto& p : model.parameters())
    if (!factors.contains(p.name)) archive.share(p.name, to_host(p.value.decoded()));
  for (const auto& b : model.buffers()) archive.share(b.name, to_host(b.value));
  return archive;
}

}  // namespace loru::inline LORU_ISA::io
