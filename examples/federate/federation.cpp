#include "federation.hpp"

#include <set>

namespace federate {

using loru::ConfigError, loru::require;
using loru::nn::Factored, loru::nn::LowRankProblem;

namespace {

/// Folders to look in besides the usual ones: those of the source tree.
std::vector<loru::data::Path> source_folders() {
  const loru::data::Path source = LORU_SOURCE_DIR;
  return {source / "data", source / "examples" / "data"};
}

loru::data::Split load_data(const Configuration& c) {
  loru::data::Source source = c.data;
  source.also = source_folders();
  source.synthetic.sample = {c.synthetic_shape[0], c.synthetic_shape[1], c.synthetic_shape[2]};
  source.synthetic.seed = static_cast<std::uint64_t>(c.synthetic_seed);
  return loru::data::load(source);
}

/// The products that the factored layers are asked for, found by sending one sample through a copy of the model. This
/// also shows that the samples fit the model at all.
std::map<std::string, LowRankProblem> probe(Model model, const loru::data::Dataset& data) {
  std::map<std::string, LowRankProblem> problems;
  model.visit({.weight = [&](const std::string& layer, loru::nn::Weight<float>& weight) {
    auto* factored = weight.as<Factored<float>>();
    if (!factored) return;
    const auto record = [&problems, layer](const LowRankProblem& problem) {
      problems[layer] = problem;
      return loru::Plan::composed;
    };
    weight =
        loru::nn::Weight<float>(Factored<float>(factored->base().value(), factored->a().value(),
                                                factored->b().value(), {factored->alpha(), 0.0, record}));
  }});
  const std::vector<Index> first{0};
  model(loru::Variable<float>(loru::data::gather<float>(data, first).inputs));
  return problems;
}

std::vector<LayerPlan> find_plans(Setup& setup) {
  const Configuration& c = setup.configuration;
  const auto rule = loru::lowrank::plan_rule(c.lowrank.plan, c.lowrank.rates);
  auto problems = probe(setup.model, setup.data.train);
  std::vector<LayerPlan> plans;
  loru::lowrank::for_each_factored(setup.model, [&](const std::string& layer, Factored<float>& weight) {
    LowRankProblem problem = problems[layer];
    problem.rows *= c.client.batch;
    const bool drops = c.lowrank.dropout > 0.0;  // between the factors
    plans.push_back({layer, weight.rank(), drops ? loru::Plan::factored : rule(problem)});
  });
  return plans;
}

}  // namespace

Model dense_model(const Configuration& c, const loru::data::Dataset& data) {
  loru::nn::ModelOptions options = c.model_options;
  options.channels = data.sample[0];
  options.height = data.sample[1];
  options.width = data.sample[2];
  options.classes = data.classes;
  options.seed = static_cast<std::uint64_t>(c.seed);
  return loru::nn::build<float>(c.model, options);
}

Setup set_up(const Configuration& configuration) {
  Setup setup{configuration, load_data(configuration), {}, {}};
  Configuration& c = setup.configuration;
  c.client.augment = loru::data::augment_from(c.augment, c.crop_padding);
  c.client.rounds = c.rounds;
  c.lowrank.seed = static_cast<std::uint64_t>(c.seed);
  setup.model = dense_model(c, setup.data.train);
  if (low_rank(c)) {
    const auto layers = loru::lowrank::factorize(setup.model, c.lowrank);
    if (c.lowrank.layers.empty()) c.lowrank.layers = layers;
  }
  setup.plans = find_plans(setup);
  return setup;
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

Index cohort_size(const Configuration& c) {
  return c.fraction ? loru::fl::cohort_size(*c.clients, *c.fraction) : *c.cohort;
}

loru::fl::AnyAlgorithm<float> make_algorithm(const Configuration& c) {
  std::optional<loru::fl::AnyAlgorithm<float>> chosen;
  with_algorithm(c, [&](const auto& algorithm) { chosen.emplace(algorithm); });
  return *chosen;
}

ParameterCount count_parameters(Model& model) {
  ParameterCount count;
  for (const auto& [name, value] : model.parameters()) {
    count.total += value.value().size();
    if (value.requires_grad()) count.trained += value.value().size();
  }
  return count;
}

}  // namespace federate
