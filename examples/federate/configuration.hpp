#pragma once
// What to run: the library's own options, as a TOML file and the command line set them.

#include <optional>
#include <string>
#include <vector>

#include <loru/data/load.hpp>
#include <loru/data/partition/partition.hpp>
#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/fl/server/client_ranks.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/nn/models/models.hpp>

#include "run.hpp"

namespace federate {

using loru::Index;

/// Every key of a configuration with its default.
struct Configuration {
  Index seed = 1;
  std::string device = "cpu";

  loru::data::Source data{.name = ""};
  std::vector<Index> synthetic_shape{1, 8, 8};
  Index synthetic_seed = 1;
  std::vector<std::string> augment;
  Index crop_padding = 4;

  loru::data::PartitionOptions partition;

  std::string model = "cnn";
  loru::nn::ModelOptions model_options;
  loru::lowrank::FactorizeOptions lowrank;
  loru::fl::RankOptions ranks;
  loru::fl::ServerOptimizer server;
  loru::fl::Codecs codecs;

  std::string algorithm = "fedloru";
  loru::fl::Algorithms algorithms;  // the options of each, of which one is used

  std::optional<Index> clients;  // not set: 100, or the groups of a natural partition
  std::optional<Index> cohort;   // not set: by the fraction, else 10 or all clients if they are fewer
  std::optional<double> fraction;
  Index rounds = 20;
  Index warmup_rounds = 0;
  Index eval_every = 1;
  bool state_on_disk = false;
  bool aggregation_error = false;
  Index personal_images = 100;

  loru::fl::ClientOptions client{.epochs = 2, .batch = 32, .optimizer = {.momentum = 0.9}};
};

/// Reads a file, over the one that its key `base` names if there is one, and applies the overrides. Throws IoError if it cannot be read, ConfigError for broken TOML, an
/// unknown key (naming the nearest), a value of a wrong type or out of range, with file and line.
Configuration read_configuration(const std::string& file, const Overrides& overrides);

/// The configuration as TOML that read_configuration() understands.
std::string to_toml(Configuration configuration);

/// f(algorithm) for the algorithm that the configuration names.
template <class F>
void with_algorithm(const Configuration& configuration, F f) {
  std::apply(
      [&](const auto&... algorithm) {
        (void(algorithm.name == configuration.algorithm ? f(algorithm) : void()), ...);
      },
      configuration.algorithms);
}

/// Whether the algorithm needs factored layers.
bool low_rank(const Configuration& configuration);

}  // namespace federate
