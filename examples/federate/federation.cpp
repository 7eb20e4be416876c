#include "federation.hpp"

#include <numeric>
#include <set>

#include <loru/data/text/load.hpp>

#include "bundled.hpp"
#include "cuda.hpp"
#include "parametrise.hpp"

namespace federate {

using loru::ConfigError, loru::require;

namespace {

loru::data::Split load_data(const Configuration& c) {
  loru::data::Split split = loru::data::load(source_of(c));
  if (c.validation > 0.0 && split.validation.size() > 0) return split;
  split.validation = {};
  return loru::data::hold_out(std::move(split), c.validation, static_cast<std::uint64_t>(c.seed));
}

/// Tokens of a sequence in the mean, rounded up.
Index mean_length(const loru::data::Dataset& data) {
  return data.size() > 0 ? (data.starts.back() + data.size() - 1) / data.size() : 1;
}

/// The plans of a step; a sample of zeros goes through a copy of the model.
std::vector<LayerPlan> plans_of(const Configuration& c, const Model& model,
                                const loru::data::Dataset& train) {
  const Index batch = c.simulation.client.batch;
  if (!train.sequences()) {
    loru::Shape shape{batch};
    for (const Index extent : train.sample) shape.push_back(extent);
    return loru::lowrank::explain(model, shape);
  }
  const Index length = mean_length(train);
  loru::Tensor<std::int32_t> zeros(loru::Shape{length});
  std::fill(zeros.span().begin(), zeros.span().end(), 0);
  loru::nn::Tokens<> tokens(zeros, {{0, length}});
  tokens.last_only = true;
  const Index times = std::clamp<Index>(train.size(), 1, batch);  // no client has more
  return loru::lowrank::explain(model, tokens, times);
}

/// Shape and classes of a data set that always has the same, without its samples; nothing for others.
std::optional<loru::data::Dataset> known_shape(const Configuration& c) {
  const std::string& name = c.data.name;
  const auto of = [&](const loru::Shape& sample, Index classes) {
    return loru::data::Dataset{.name = name, .sample = sample, .classes = classes};
  };
  if (name == "mnist" || name == "fashion-mnist") return of({1, 28, 28}, 10);
  if (name == "cifar10" || name == "cifar100") return of({3, 32, 32}, name == "cifar10" ? 10 : 100);
  if (name == "omniglot") return of({1, 28, 28}, 242);  // what ./dev data omniglot fetches
  if (name == "synthetic") return of(c.data.synthetic.sample, c.data.synthetic.classes);
  return std::nullopt;
}

/// build(), whose ShapeError says that the samples do not fit the model at all.
template <class F>
auto fitting(const Configuration& c, const loru::data::Dataset& data, F build) {
  try {
    return build();
  } catch (const loru::ShapeError& error) {
    loru::fail<ConfigError>("model.name: ", c.model, " does not take samples of shape ", data.sample, ": ",
                            error.what());
  }
}

/// Builds and factorises the model for the data.
Setup build(const Configuration& configuration, loru::data::Split data) {
  Setup setup{configuration, std::move(data), {}, {}, {}};
  Configuration& c = setup.configuration;
  setup.planner = c.device == "cuda" ? make_cuda_planner(c) : make_planner<loru::Cpu>(c);
  c.lowrank.rates = setup.planner.rates;
  c.simulation.client.augment = loru::data::augment_from(c.augment.changes, c.augment.padding);
  c.simulation.client.rounds = c.rounds;
  c.lowrank.seed = static_cast<std::uint64_t>(c.seed);
  const loru::data::Dataset& train = setup.data.train;
  const loru::data::Augment& augment = c.simulation.client.augment;
  require<ConfigError>(!train.sequences() || is_transformer(c.model),
                       "model.name: expected bert, llama or "
                       "char_transformer for the sequences of ",
                       c.data.name, ", got ", c.model);
  require<ConfigError>(train.sample.rank() == 3 || (augment.pad == 0 && !augment.flip),
                       "data.augment: expected images for the augmentation, got samples of shape ",
                       train.sample);
  const auto algorithm = make_algorithm(c);
  setup.model = fitting(c, train, [&] { return dense_model(c, train); });
  fitting(c, train, [&] { return plans_of(c, setup.model, train); });  // a sample goes through
  require<ConfigError>(c.warmup_rounds <= c.rounds, "federation.warmup_rounds: expected at most ", c.rounds,
                       ", the rounds, got ", c.warmup_rounds);
  require<ConfigError>(c.warmup_rounds == 0 || !algorithm.begins_anew,
                       "federation.warmup_rounds: expected 0 for ", algorithm.name,
                       ", which does not go on from trained weights, got ", c.warmup_rounds);
  const bool adapted = c.lowrank.start.kind == loru::lowrank::Start::peft;
  require<ConfigError>(c.warmup_rounds == 0 || !adapted, "federation.warmup_rounds: expected 0 with ",
                       "lowrank.start = peft:", c.lowrank.start.folder.native(), ", got ", c.warmup_rounds);
  require<ConfigError>(c.warmup_rounds == 0 || count_parameters(setup.model).trained > 0,
                       "federation.warmup_rounds: expected 0 where model.train names nothing to train before "
                       "there are factors, got ",
                       c.warmup_rounds);
  const auto layers = parametrise(c, algorithm, setup.model);
  if (adapted || (c.lowrank.layers.empty() && c.lowrank.ranks.empty())) c.lowrank.layers = layers;
  if (adapted) c.lowrank.ranks = loru::lowrank::ranks(setup.model);
  // The model is the host's also where the run is not.
  loru::lowrank::for_each_weight<loru::nn::Factored, loru::nn::AggregationAware, loru::nn::CoreFactored>(
      setup.model, [&](const std::string&, auto& layer) { layer.set_plan(setup.planner.rule); });
  setup.plans = plans_of(c, setup.model, train);
  return setup;
}

}  // namespace

template loru::fl::AnyAlgorithm<float> make_algorithm<loru::Cpu>(const Configuration&);

loru::nn::ModelOptions model_options(const Configuration& c, const loru::data::Dataset& data) {
  loru::nn::ModelOptions options = c.model_options;
  const bool image = data.sample.rank() == 3;
  options.channels = data.channels();
  options.height = image ? data.sample[1] : 1;
  options.width = image ? data.sample[2] : 1;
  options.classes = loru::train::make_task<float>(c.task).outputs(data);
  options.seed = static_cast<std::uint64_t>(c.seed);
  return options;
}

loru::data::Source source_of(Configuration c) {
  complete_text(c);
  loru::data::Source source = c.data;
  source.also = bundled_folders();
  source.text = c.text;
  return source;
}

std::optional<std::string> characters_of(const Setup& setup) {
  const loru::data::Source source = source_of(setup.configuration);
  const auto names = loru::data::text_names();
  if (std::find(names.begin(), names.end(), source.name) == names.end() || !source.text.tokenizer.empty())
    return std::nullopt;
  const loru::data::Tokenizer tokenizer = loru::data::tokenizer_of(source);
  std::vector<loru::data::TokenId> ids(static_cast<std::size_t>(tokenizer.size() - 1));
  std::iota(ids.begin(), ids.end(), loru::data::TokenId{1});  // 0 stands for all other characters
  return tokenizer.decode(ids);
}

void keep_characters(Configuration& c, const std::filesystem::path& folder) {
  const std::filesystem::path kept = folder / characters_file;
  complete_text(c);
  if (c.text.tokenizer.empty() && std::filesystem::exists(kept)) c.text.tokenizer = kept;
}

Setup set_up(const Configuration& configuration) {
  check_weights(configuration);
  return build(configuration, load_data(configuration));
}

Setup set_up(const Configuration& configuration, loru::data::Split data) {
  return build(configuration, std::move(data));
}

Setup set_up_shapes(const Configuration& configuration) {
  if (auto known = known_shape(configuration)) return build(configuration, {.train = *known, .test = {}});
  return set_up(configuration);
}

loru::data::Partition make_partition(Setup& setup) {
  Configuration& c = setup.configuration;
  const loru::data::Dataset& data = setup.data.train;
  if (!c.clients) {
    const bool natural = c.partition.kind == "natural" && !data.groups.empty();
    c.clients = natural ? static_cast<Index>(std::set(data.groups.begin(), data.groups.end()).size()) : 100;
  }
  c.partition.clients = *c.clients;
  c.partition.seed = static_cast<std::uint64_t>(c.seed);
  if (!c.cohort && !c.fraction) c.cohort = std::min<Index>(10, *c.clients);
  require<ConfigError>(cohort_size(c) <= *c.clients, "federation.cohort: expected at most ", *c.clients,
                       ", the clients, got ", cohort_size(c));
  return loru::data::partition(data, c.partition);
}

std::vector<loru::train::Metric> metrics(const Configuration& c) {
  return loru::train::make_task<float>(c.task).metrics;
}

Index cohort_size(const Configuration& c) {
  return c.fraction ? loru::fl::cohort_size(*c.clients, *c.fraction) : *c.cohort;
}

ParameterCount count_parameters(Model& model) {
  ParameterCount count;
  for (const auto& [name, value, role] : model.parameters()) {
    count.total += value.shape().size();
    if (value.requires_grad()) count.trained += value.shape().size();
    if (value.blocks()) count.in_blocks += value.shape().size();
    count.bytes += value.blocks() ? static_cast<Index>(value.blocks()->bytes.size())
                                  : value.shape().size() * static_cast<Index>(sizeof(float));
  }
  return count;
}

}  // namespace federate
