#pragma once
// From a dense model to the layers that an algorithm trains.

#include <loru/train/adapter_file.hpp>

#include "federation.hpp"

namespace federate {

/// Gives a dense model the layers that the algorithm needs, with the factors of the adapter that
/// lowrank.start names, if it does. Returns their names. Throws as the library does.
template <class D>
std::vector<std::string> parametrise(const Configuration& c,
                                     const loru::fl::AnyAlgorithm<float, D>& algorithm,
                                     loru::nn::Model<float, D>& model) {
  if (c.lowrank.start.kind != loru::lowrank::Start::peft) return algorithm.parametrise(model, c.lowrank);
  const auto adapter = loru::io::bind_adapter(loru::io::load_adapter(c.lowrank.start.folder), model);
  auto layers = algorithm.parametrise(model, loru::io::adapter_options(adapter, model, c.lowrank));
  loru::require<loru::ConfigError>(!layers.empty(), "lowrank.start: expected zero for ", algorithm.name,
                                   ", which trains no factors, got peft:", c.lowrank.start.folder.native());
  loru::io::set_adapter(model, adapter);
  return layers;
}

/// The setup's model on device D.
template <class D>
loru::nn::Model<float, D> model_on(Setup& setup) {
  if constexpr (std::same_as<D, loru::Cpu>) {
    return setup.model;
  } else {
    const Configuration& c = setup.configuration;
    auto model = dense_model<D>(c, setup.data.train);
    parametrise(c, make_algorithm<D>(c), model);
    loru::nn::copy_values(setup.model, model);
    return model;
  }
}

/// A copy of the model, which shares its frozen weights; an empty one if all of its layers are dense.
inline Model start_of(Model& model) {
  bool dense = true;
  model.visit({.weight = [&](const std::string&, loru::nn::Weight<float>& weight) {
    dense &= weight.as<loru::nn::Dense<float>>() != nullptr;
  }});
  return dense ? Model() : model;
}

}  // namespace federate
