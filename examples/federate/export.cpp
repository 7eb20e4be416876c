#include "export.hpp"

#include <algorithm>
#include <cmath>
#include <iostream>

#include <nlohmann/json.hpp>
#include <loru/data/text/load.hpp>
#include <loru/train/adapter_file.hpp>

#include "bundled.hpp"
#include "output.hpp"
#include "run_folder.hpp"

namespace federate {

namespace fs = std::filesystem;
using loru::ConfigError, loru::require;

namespace {

using Tensor = loru::Tensor<float>;
using Terms = std::vector<loru::lowrank::Term<float>>;
using Json = nlohmann::ordered_json;

/// W of a factored layer and its factors, as they are or as they were.
struct LayerState {
  Tensor w, a, b;
  double scale;
};

std::map<std::string, LayerState> layer_states(Model& model) {
  std::map<std::string, LayerState> states;
  model.visit({.weight = [&](const std::string& layer, loru::nn::Weight<float>& weight) {
    const loru::NoGrad guard;
    const auto form = weight.form();
    if (form.a) states[layer] = {form.w.decoded(), form.a.value(), form.b.value(), form.scale};
  }});
  return states;
}

double largest(const Tensor& x) {
  double most = 0.0;
  for (const float value : x.span()) most = std::max(most, std::abs(static_cast<double>(value)));
  return most;
}

/// Whether two weights are the same but for the roundings of that many merges.
bool same(const Tensor& x, const Tensor& y, std::size_t merges) {
  const double most = 1e-6 * static_cast<double>(1 + merges) * largest(y);
  for (Index i = 0; i < x.size(); ++i)
    if (!(std::abs(static_cast<double>(x.data()[i]) - static_cast<double>(y.data()[i])) <= most))
      return false;
  return true;
}

/// A layer's factors of every merge that the run has kept.
Terms merged_terms(const std::vector<loru::io::Archive>& merges, const std::string& layer,
                   const LayerState& state) {
  using loru::nn::Role;
  Terms terms;
  const loru::Shape& w = state.w.shape();
  for (const loru::io::Archive& merge : merges) {
    const loru::Shape& b = merge.raw(loru::nn::factor_name(layer, Role::up)).shape;
    const Index rank = b.rank() == 2 ? b[1] : 1;
    const auto a =
        merge.get<float>(loru::nn::factor_name(layer, Role::down), loru::lowrank::factor_shape(w, rank));
    terms.push_back({1.0, to_layout(a, state.w.layout()),
                     merge.get<float>(loru::nn::factor_name(layer, Role::up), {w[0], rank})});
  }
  return terms;
}

/// What each layer's W got since the weights were published. Throws ConfigError unless that is all that
/// changed them.
std::map<std::string, Terms> updates_since(const Configuration& c, const fs::path& folder,
                                           const std::map<std::string, LayerState>& start, Model& model) {
  const auto merges = kept_merges(folder);
  std::map<std::string, Terms> updates;
  for (const auto& [layer, state] : layer_states(model)) {
    const auto found = start.find(layer);
    require<ConfigError>(found != start.end(), "export: layer ", layer,
                         ": expected it dense, as the configuration says, got factors");
    const LayerState& began = found->second;
    Terms terms = merged_terms(merges, layer, state);
    Tensor w = began.w;
    for (const auto& term : terms) w = lowrank_compose(w, term.a, term.b, state.scale);
    require<ConfigError>(same(state.w, w, merges.size()), "export: layer ", layer,
                         ": expected W to be what it was at the start with the ", merges.size(),
                         " merges kept in ", (folder / "merges").native(), ", got another: ", c.algorithm,
                         c.warmup_rounds > 0 ? " with a warm-up" : "",
                         " changed it otherwise, or federation.keep_merges was not set; --merged writes it");
    // W began as what was published less the leading part that the factors took over.
    if (c.lowrank.start == loru::lowrank::Start::svd) terms.push_back({-1.0, began.a, began.b});
    updates[layer] = std::move(terms);
  }
  return updates;
}

/// Names of what the adapter that the run began at set beside its factors.
std::set<std::string> set_at_start(const Configuration& c, Model& model) {
  std::set<std::string> names;
  if (c.lowrank.start.kind != loru::lowrank::Start::peft) return names;
  const auto adapter = loru::io::bind_adapter(loru::io::load_adapter(c.lowrank.start.folder), model);
  for (const auto& [name, value] : adapter.values) names.insert(name);
  return names;
}

/// Throws ConfigError where the embedding's table was trained and is the head's too: PEFT 0.21 wants it twice
/// in the file then, and else leaves the head as it was.
void require_own_head(const loru::io::Adapter& adapter, Model& model) {
  const auto is_head = [](const auto& p) { return p.name == "lm_head.weight"; };
  const auto parameters = model.parameters();
  const bool table = adapter.values.contains("model.embed_tokens.weight");
  require<ConfigError>(!table || std::any_of(parameters.begin(), parameters.end(), is_head),
                       "export: --peft: expected model.embed_tokens.weight as it was published, since the "
                       "head is tied to it, got it trained; --merged writes the weights");
}

loru::io::Adapter adapter_of_run(const Configuration& c, const fs::path& folder,
                                 const std::map<std::string, LayerState>& start, Model& model) {
  require<ConfigError>(!start.empty(), "export: expected layers W + s·B·A, got none under ", c.algorithm,
                       "; --merged writes the weights");
  const auto sends = make_algorithm<loru::Cpu>(c).sends;
  const auto state = model.state();
  require<ConfigError>(std::any_of(state.begin(), state.end(),
                                   [&](const auto& tensor) { return loru::fl::chosen(sends, tensor.id()); }),
                       "export: --peft: expected an algorithm that trains the server's model, got ",
                       c.algorithm, ": its clients train models of their own");
  try {
    auto adapter = loru::io::to_adapter<float>(model, {.merged = updates_since(c, folder, start, model),
                                                       .published = published_names(c),
                                                       .changed = set_at_start(c, model),
                                                       .rslora = c.lowrank.rslora});
    if (c.model == "llama") require_own_head(adapter, model);
    return adapter;
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    if (text.starts_with("export: ")) throw;
    loru::fail<ConfigError>("export: ", text, " under ", c.algorithm, "; --merged writes the weights");
  }
}

/// lora_alpha of a layer; a whole number where it is one but for the last bits.
Json alpha_of(const loru::io::AdapterLayer& layer, bool rslora) {
  const double alpha = layer.alpha / (rslora ? std::sqrt(static_cast<double>(layer.rank())) : 1.0);
  const double whole = std::round(alpha);
  if (std::abs(alpha - whole) <= 1e-12 * std::abs(whole) && std::abs(whole) < 1e15)
    return static_cast<Index>(whole);
  return alpha;
}

/// The last parts of the layers' names, where these are all layers with such names; else one expression that
/// lists them.
Json target_modules(const loru::io::Adapter& adapter, Model& model) {
  const auto last = [](const std::string& name) { return name.substr(name.rfind('.') + 1); };
  std::set<std::string> ends;
  std::string all;
  for (const auto& [layer, factors] : adapter.layers) {
    ends.insert(last(layer));
    if (!all.empty()) all += '|';
    for (const char c : layer) all += c == '.' ? std::string("\\.") : std::string(1, c);
  }
  bool short_names = true;
  for (const std::string& end : ends) short_names &= !loru::parse_number<Index>(end);
  model.visit({.weight = [&](const std::string& layer, loru::nn::Weight<float>&) {
    short_names &= adapter.layers.contains(layer) || !ends.contains(last(layer));
  }});
  return short_names ? Json(ends) : Json(all);
}

/// Of a SEQ_CLS model PEFT takes no factors for the classifier: it saves that whole.
Json task_type(const Configuration& c, const loru::io::Adapter& adapter) {
  if (c.model == "bert") return adapter.layers.contains("classifier") ? Json() : Json("SEQ_CLS");
  return c.model == "llama" ? Json("CAUSAL_LM") : Json();
}

/// adapter_config.json. The first layer's rank and alpha are those of all that no pattern names.
Json configuration_of(const Configuration& c, const loru::io::Adapter& adapter, Model& model) {
  const loru::io::AdapterLayer& first = adapter.layers.begin()->second;
  const Json alpha = alpha_of(first, adapter.rslora);
  Json ranks = Json::object(), alphas = Json::object();
  bool biases = false;
  for (const auto& [layer, factors] : adapter.layers) {
    biases |= adapter.values.contains(layer + ".bias");
    const std::string whole_name = '^' + layer;
    if (factors.rank() != first.rank()) ranks[whole_name] = factors.rank();
    if (const Json own = alpha_of(factors, adapter.rslora); own != alpha) alphas[whole_name] = own;
  }
  const std::string weights = c.transformer.weights.string();
  return {{"alpha_pattern", alphas},
          {"base_model_name_or_path", weights.empty() ? Json() : Json(weights)},
          {"bias", biases ? "lora_only" : "none"},
          {"fan_in_fan_out", false},
          {"inference_mode", true},
          {"init_lora_weights", true},
          {"lora_alpha", alpha},
          {"lora_dropout", 0.0},
          {"modules_to_save", adapter.modules.empty() ? Json() : Json(adapter.modules)},
          {"peft_type", "LORA"},
          {"r", first.rank()},
          {"rank_pattern", ranks},
          {"target_modules", target_modules(adapter, model)},
          {"task_type", task_type(c, adapter)},
          {"use_dora", false},
          {"use_rslora", adapter.rslora}};
}

void write_adapter(const fs::path& folder, const Configuration& c, const loru::io::Adapter& adapter,
                   Model& model) {
  const std::string configuration = configuration_of(c, adapter, model).dump(2) + '\n';
  loru::io::make_directories(folder);
  std::error_code code;
  require<ConfigError>(!fs::equivalent(folder, c.lowrank.start.folder, code),
                       "export: --peft: expected another ",
                       "folder than that of lowrank.start, which the run needs, got ", folder.native());
  loru::io::save(folder / "adapter_model.safetensors", loru::io::to_archive<float>(adapter));
  loru::io::write_file(folder / "adapter_config.json", configuration);
}

/// The path without links, as far as it is there.
fs::path resolved(const fs::path& path) {
  std::error_code code;
  const fs::path found = fs::weakly_canonical(fs::absolute(path, code), code);
  return code ? path.lexically_normal() : found;
}

/// Whether a path is the folder or lies in it.
bool lies_in(const fs::path& path, const fs::path& folder) {
  const fs::path inner = resolved(path), base = resolved(folder);
  const auto [of_base, of_inner] = std::mismatch(base.begin(), base.end(), inner.begin(), inner.end());
  return of_base == base.end();
}

/// Throws ConfigError for a file to write that is one of the run's own, or one that the run was made from.
void require_free(const char* option, const Export& options, const Configuration& c, const fs::path& file) {
  const fs::path run = options.folder, start = c.lowrank.start.folder;
  require<ConfigError>(!is_part_of_run(resolved(file), resolved(run)), "export: ", option,
                       ": expected another name than those of the run's own files, got ", file.native());
  require<ConfigError>(start.empty() || !lies_in(file, start), "export: ", option, ": expected another ",
                       "folder than that of lowrank.start, which the run needs, got ", file.native());
  std::error_code code;
  const fs::path weights = c.transformer.weights.empty()
                               ? fs::path()
                               : loru::data::locate_model(c.transformer.weights, bundled_folders());
  require<ConfigError>(weights.empty() || !lies_in(file, weights) || !fs::exists(file, code),
                       "export: ", option,
                       ": expected another name than those of model.weights, which the run needs, "
                       "got ",
                       file.native());
}

/// Throws ConfigError unless what is to be written has names that are free.
void check_targets(const Export& options, const Configuration& c) {
  if (options.merged) {
    require<ConfigError>(!options.merged->empty(), "export: --merged: expected a file, got no name");
    require_free("--merged", options, c, *options.merged);
  }
  if (!options.peft) return;
  require<ConfigError>(!options.peft->empty(), "export: --peft: expected a folder, got no name");
  for (const char* file : {"adapter_model.safetensors", "adapter_config.json"})
    require_free("--peft", options, c, fs::path(*options.peft) / file);
}

}  // namespace

ExitCode export_model(const Export& options, const Overrides& overrides) {
  const fs::path folder = options.folder;
  Configuration configuration = read_configuration((folder / "config.toml").string(), overrides);
  configuration.device = "cpu";  // whatever the run was on
  check_targets(options, configuration);
  keep_characters(configuration, folder);
  Setup setup = set_up_shapes(configuration);
  const auto start = layer_states(setup.model);
  loru::io::load(setup.model, folder / "model.safetensors");
  if (options.merged) {
    loru::io::save(*options.merged, loru::io::merged_archive(setup.model));
    std::cout << "written to " << *options.merged << '\n';
  }
  if (options.peft) {
    const auto adapter = adapter_of_run(setup.configuration, folder, start, setup.model);
    write_adapter(*options.peft, setup.configuration, adapter, setup.model);
    std::cout << adapter.layers.size() << " layers, rank " << adapter.layers.begin()->second.rank()
              << ", written to " << *options.peft << '\n';
  }
  return success;
}

void save_adapter(const std::string& folder, const Configuration& c, Model& model) {
  const auto adapter = loru::io::to_adapter<float>(model, {.merged = {},
                                                           .published = published_names(c),
                                                           .changed = set_at_start(c, model),
                                                           .rslora = c.lowrank.rslora});
  write_adapter(folder, c, adapter, model);
}

}  // namespace federate
