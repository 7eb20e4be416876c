#pragma once
// The configuration: the library's own options, as a TOML file and the command line set them.

#include <optional>
#include <string>
#include <vector>

#include <loru/data/load.hpp>
#include <loru/data/partition/partition.hpp>
#include <loru/fl/algorithms/algorithms.hpp>
#include <loru/fl/simulation/simulation.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/tasks/tasks.hpp>

#include "run.hpp"
#include "transformer.hpp"

namespace federate {

using loru::Index;

/// Names of the models, for images and for sequences.
std::vector<std::string> model_names();

/// Whether it is a model of sequences (transformer.hpp).
bool is_transformer(const std::string& model);

/// What products of floats are rounded to on a device: nothing, or their operands to tf32 or bf16.
enum class Precision : unsigned char { full, tf32, bf16 };

/// The table of a configuration that may be given as a string, its name: device = "cuda" is device.name =
/// "cuda".
inline constexpr std::string_view table_by_name = "device";

/// A configuration with its defaults. The library's options have fields of their own; the runner's options
/// are described here.
struct Configuration {
  Index seed = 1;
  std::string device = "cpu";
  Precision precision = Precision::full;
  Index device_index = 0;

  loru::data::Source data{.name = ""};
  double validation = 0.0;
  loru::data::TextOptions text;
  loru::data::AugmentOptions augment;
  loru::data::PartitionOptions partition;

  std::string task = "classification";

  std::string model = "cnn";
  loru::nn::ModelOptions model_options;
  TransformerOptions transformer;
  loru::lowrank::FactorizeOptions lowrank;

  std::string algorithm = "fedloru";
  loru::fl::Algorithms algorithms;  // the options of each, of which one is used

  std::optional<Index> clients, cohort;
  std::optional<double> fraction;
  Index rounds = 20;
  Index warmup_rounds = 0;
  bool state_on_disk = false;
  Index personal_images = 100;
  bool keep_best = false;
  std::vector<Index> keep_rounds;
  std::optional<bool> keep_merges;
  std::optional<double> stop_at;

  bool tensorboard = false;

  loru::fl::SimulationOptions simulation{
      .client = {.epochs = 2, .batch = 32, .optimizer = {.momentum = 0.9}}};

  static constexpr auto fields() {
    using C = Configuration;
    using namespace loru;
    return Fields{
        field("seed", &C::seed, range::at_least(0), "seed of all random draws"),
        field("device.name", &C::device, Names{[] { return std::vector<std::string>{"cpu", "cuda"}; }},
              "where clients train and models are tested, as --device; device = \"cuda\" is short for it"),
        field("device.precision", &C::precision,
              words<Precision>(
                  {{"float", Precision::full}, {"tf32", Precision::tf32}, {"bf16", Precision::bf16}}),
              "of cuda: what operands of products are rounded to, tf32 for tensor cores; bf16 is not there "
              "yet"),
        field("device.index", &C::device_index, range::at_least(0),
              "of cuda: which device, of those that CUDA_VISIBLE_DEVICES leaves"),
        section("data", &C::data),
        field("data.validation", &C::validation, range::below_one,
              "share of the training samples that is taken out, before the partition, to choose "
              "hyper-parameters by; a data set that has samples for that, such as sst2, gives these instead"),
        section("data", &C::augment),
        section("text", &C::text),
        section("partition", &C::partition),
        field("task.kind", &C::task, Names{[] { return std::vector(train::task_names()); }},
              "what is learned: the loss and the metrics; the targets of the data have to fit"),
        field("model.name", &C::model, Names{&model_names}, "the model"),
        section("model", &C::model_options),
        section("model", &C::transformer),
        section("lowrank", &C::lowrank),
        field("algorithm.name", &C::algorithm, Names{&fl::algorithm_names}, "see docs/algorithms.md"),
        field("federation.clients", &C::clients, range::at_least(1),
              "if not given 100, or the groups of a natural partition"),
        field("federation.cohort", &C::cohort, range::at_least(1),
              "clients a round; if neither it nor fraction is given 10, or all clients if they are fewer"),
        field("federation.fraction", &C::fraction, range::up_to_one,
              "instead of cohort: a share of the clients"),
        field("federation.rounds", &C::rounds, range::between(1, fl::detail::most_counted), "rounds"),
        field("federation.warmup_rounds", &C::warmup_rounds, range::at_least(0),
              "of them the first, in which all layers are dense and trained as under fedavg"),
        field("federation.client_state", &C::state_on_disk, words<bool>({{"memory", false}, {"disk", true}}),
              "where client states are kept between turns: in memory, or in DIR/clients/"),
        field("federation.personal_images", &C::personal_images, range::at_least(0),
              "test images a client for personal_accuracy, in its own label proportions; 0: none"),
        field("federation.keep_best", &C::keep_best,
              "whether the model best by the task's first metric is kept as DIR/best.safetensors"),
        field("federation.keep_rounds", &C::keep_rounds, Rounds{.first = 0},
              "rounds after which the model is kept as DIR/rounds/<round>.safetensors; 0: before the first"),
        field(
            "federation.keep_merges", &C::keep_merges,
            "whether merged factors are kept as DIR/merges/<round>.safetensors, for federate export; if not "
            "given, where model.weights is"),
        field("federation.stop_at", &C::stop_at, range::finite,
              "the run ends after the round in which the task's first metric is as good as this"),
        field("tracking.tensorboard", &C::tensorboard,
              "whether DIR/tensorboard gets TensorBoard's event files: scalars, histograms of the factors, "
              "the configuration"),
        section("", &C::simulation)};
  }
};

/// Reads a file, over the one that its key `base` names if there is one, and applies the overrides. Throws
/// IoError if it cannot be read, ConfigError for broken TOML, an unknown key (naming the nearest), a value of
/// a wrong type or out of range, with file and line.
Configuration read_configuration(const std::string& file, const Overrides& overrides);

/// The same for TOML text that a program made; errors name config_text_origin and no line. A run needs
/// data.name, which is not asked for here.
inline constexpr const char* config_text_origin = "config";
Configuration read_configuration_text(const std::string& text, const Overrides& overrides);

/// Throws ConfigError unless the configuration names its data.
void require_data(const Configuration& configuration, const std::string& origin);

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

/// Whether a run keeps the factors that it merges.
bool keeps_merges(const Configuration& configuration);

}  // namespace federate
