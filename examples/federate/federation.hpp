#pragma once
// A configuration made real: data, clients, model and factors.

#include <map>

#include <loru/fl/simulation.hpp>
#include <loru/lowrank/explain.hpp>

#include "configuration.hpp"

namespace federate {

using Model = loru::nn::Model<float>;

using loru::lowrank::LayerPlan;

/// What a model is trained and tested with.
struct Setup {
  Configuration configuration;  // effective: what follows from data and model is filled in
  loru::data::Split data;
  Model model;
  std::vector<LayerPlan> plans;  // of the factored layers, in the model's order
};

/// Loads the data and builds and factorises the model. Throws as the library does, before anything is trained.
Setup set_up(const Configuration& configuration);

/// The same without data where its shape is known by its name: data that are not loaded have no samples.
Setup set_up_shapes(const Configuration& configuration);

/// Divides the training data among the clients, and fills in clients and cohort. Throws ConfigError.
loru::data::Partition make_partition(Setup& setup);

/// The model as it is before it is factorised.
Model dense_model(const Configuration& configuration, const loru::data::Dataset& data);

/// The chosen algorithm with its options.
loru::fl::AnyAlgorithm<float> make_algorithm(const Configuration& configuration);

/// Clients in a round.
Index cohort_size(const Configuration& configuration);

struct ParameterCount {
  Index total = 0, trained = 0;
};

/// Numbers held and trained; factors count, buffers do not.
ParameterCount count_parameters(Model& model);

}  // namespace federate
