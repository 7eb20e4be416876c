#pragma once
// Builds what a configuration describes: data, clients, model and factors.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include <loru/fl/simulation/simulation.hpp>
#include <loru/lowrank/explain.hpp>

#include "configuration.hpp"

namespace federate {

using Model = loru::nn::Model<float>;

using loru::lowrank::LayerPlan;

/// How the layers of a run on a device are planned.
struct Planner {
  loru::lowrank::Rates rates;
  loru::nn::PlanRule rule;
  std::function<double(loru::Plan, const loru::LowRankProblem&)> seconds;
};

/// The planner of device D with the configuration's rates; those that it does not set are the device's.
template <class D>
Planner make_planner(const Configuration& c) {
  loru::lowrank::Rates rates = c.lowrank.rates.value_or(loru::lowrank::Rates{});
  const auto missing = [](double rate) { return rate == 0.0; };
  if (std::any_of(rates.of.begin(), rates.of.end(), missing)) {
    const loru::lowrank::Rates own = device_rates(D{});
    for (std::size_t i = 0; i < own.of.size(); ++i)
      if (missing(rates.of[i])) rates.of[i] = own.of[i];
  }
  return {rates, loru::lowrank::plan_rule<D>(c.lowrank.plan, rates),
          [rates](loru::Plan plan, const loru::LowRankProblem& p) {
            return loru::lowrank::seconds<D>(plan, p, rates);
          }};
}

/// A configuration with its data, model and plans.
struct Setup {
  Configuration configuration;  // effective: what follows from data and model is filled in
  loru::data::Split data;
  Model model;
  Planner planner;               // of the device that the run is on
  std::vector<LayerPlan> plans;  // of the factored layers, in the model's order
};

/// Where the data come from, with the tokenizer that texts need.
loru::data::Source source_of(Configuration configuration);

/// The file of a run that holds the characters that are its tokens.
inline constexpr const char* characters_file = "characters.txt";

/// The characters of the training texts in the order of their ids, where they are the tokens.
std::optional<std::string> characters_of(const Setup& setup);

/// Has the texts cut into the characters that a run's folder has kept, whatever its training texts are now.
void keep_characters(Configuration& configuration, const std::filesystem::path& folder);

/// Loads the data and builds and factorises the model. Throws as the library does, before anything is
/// trained.
Setup set_up(const Configuration& configuration);

/// The same for data that are there already; shapes alone will do.
Setup set_up(const Configuration& configuration, loru::data::Split data);

/// The same without data, for data sets whose shape is known by name: the data set has no samples.
Setup set_up_shapes(const Configuration& configuration);

/// The clients that clients.csv and a description list are the first so many; clients.csv also has those
/// whose accuracies were measured.
inline constexpr Index most_clients_listed = 10'000;

/// Divides the training data among the clients, and fills in clients and cohort. Throws ConfigError.
loru::data::Partition make_partition(Setup& setup);

/// The shapes and options that the model is built for.
loru::nn::ModelOptions model_options(const Configuration& configuration, const loru::data::Dataset& data);

/// The model before it is factorised, on device D.
template <class D = loru::Cpu>
loru::nn::Model<float, D> dense_model(const Configuration& c, const loru::data::Dataset& data) {
  if (is_transformer(c.model)) {
    if constexpr (std::same_as<D, loru::Cpu>)
      return build_transformer(c, data);
    else
      loru::fail<loru::ConfigError>("device: expected cpu for the model ", c.model, ", got ", D::name);
  }
  return loru::nn::build<float, D>(c.model, model_options(c, data));
}

/// The chosen algorithm with its options, for device D.
template <class D = loru::Cpu>
loru::fl::AnyAlgorithm<float, D> make_algorithm(const Configuration& c) {
  std::optional<loru::fl::AnyAlgorithm<float, D>> chosen;
  with_algorithm(c, [&](const auto& algorithm) { chosen.emplace(algorithm); });
  return *chosen;
}

// All algorithms at once: compiled in federation.cpp.
extern template loru::fl::AnyAlgorithm<float> make_algorithm<loru::Cpu>(const Configuration&);

/// The metrics of the task; models are compared by the first.
std::vector<loru::train::Metric> metrics(const Configuration& configuration);

/// Clients in a round.
Index cohort_size(const Configuration& configuration);

/// Numbers held, trained and kept in blocks, and the bytes that all take.
struct ParameterCount {
  Index total = 0, trained = 0, in_blocks = 0, bytes = 0;
};

/// Factors count, buffers do not.
ParameterCount count_parameters(Model& model);

}  // namespace federate
