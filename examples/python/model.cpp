#include "model.hpp"

#include <cstdint>
#include <limits>
#include <thread>

#include <loru/core/text.hpp>
#include <loru/nn/models/models.hpp>
#include <loru/train/adapter_file.hpp>
#include <loru/train/evaluate.hpp>
#include <loru/train/model_file.hpp>
#include <loru/train/predict.hpp>

#include "export.hpp"
#include "output.hpp"

namespace loru_python {

using loru::ConfigError, loru::DataError, loru::require;
namespace data = loru::data;

namespace {

/// A data set without samples, for a configuration's task.
data::Dataset shape_for(const federate::Configuration& c, const std::vector<Index>& sample, Index outputs,
                        bool bytes) {
  require<ConfigError>(!federate::is_transformer(c.model),
                       "model.name: expected a model of images or vectors, got ", c.model,
                       ", which a run makes for its texts");
  constexpr Index most = std::numeric_limits<std::int32_t>::max();
  require<ConfigError>(outputs >= 1 && outputs <= most, "outputs: expected 1 .. ", most, ", got ", outputs);
  data::Dataset like{.name = "the model"};
  Index numbers = 1;
  for (const Index extent : sample) {
    require<ConfigError>(extent >= 1 && extent <= most / numbers,
                         "sample: expected extents of at least 1 and ", most,
                         " numbers at most, got an extent of ", extent);
    numbers *= extent;
    like.sample.push_back(extent);
  }
  require<ConfigError>(like.sample.rank() == 1 || like.sample.rank() == 3,
                       "sample: expected (C, H, W) or (n), got ", like.sample);
  if (bytes)
    like.normalisation.unit = 1.0 / 255.0;
  else
    like.features = std::vector<float>();
  if (c.task == "regression")
    like.targets = data::Numbers{outputs, {}};
  else if (c.task == "multilabel")
    like.targets = data::Flags{outputs, {}};
  else
    like.classes = outputs;
  return like;
}

/// The setup's data set without its samples.
data::Dataset without_samples(const data::Dataset& all) {
  data::Dataset like{.name = all.name, .sample = all.sample, .classes = all.classes};
  like.normalisation = all.normalisation;
  like.vocabulary = all.vocabulary;
  if (all.sequences()) like.starts = {0};
  std::visit([&](const auto& values) { like.features = std::decay_t<decltype(values)>(); }, all.features);
  like.targets = all.targets;
  std::visit(
      [](auto& targets) {
        if constexpr (requires { targets.values; })
          targets.values = {};
        else
          targets = {};
      },
      like.targets);
  return like;
}

/// Takes the counters of PyTorch's batch normalisation out of a state: its layers here have none.
void drop_counters(loru::io::Archive& state, const loru::io::Archive& own) {
  constexpr std::string_view counter = "num_batches_tracked";
  for (const std::string& name : state.names())
    if (name.ends_with(counter) &&
        own.contains(name.substr(0, name.size() - counter.size()) + "running_mean"))
      state.erase(name);
}

/// Throws DataError for a tensor that the model does not have.
void require_own(const loru::io::Archive& state, const loru::io::Archive& own) {
  for (const std::string& name : state.names())
    require<DataError>(own.contains(name), state.origin(), ": tensor ", name,
                       ": expected one of the model, nearest is ", loru::nearest(name, own.names()));
}

/// Throws DataError for a parameter or buffer that is not finite.
void require_finite(federate::Model& model, const std::string& origin) {
  const auto check = [&](const std::string& name, const loru::Tensor<float>& values) {
    require<DataError>(all_finite(values), origin, ": tensor ", name, ": expected finite numbers");
  };
  for (const auto& p : model.parameters())
    if (!p.value.blocks()) check(p.name, p.value.value());
  for (const auto& buffer : model.buffers()) check(buffer.name, buffer.value);
}

}  // namespace

Index threads_or_all(std::optional<Index> threads) {
  const Index count = threads.value_or(std::max<Index>(1, std::thread::hardware_concurrency()));
  require<ConfigError>(count >= 1 && count <= 4096, "threads: expected 1 to 4096, got ", count);
  return count;
}

Model::Model(const std::optional<std::string>& text, const std::string& file,
             const std::vector<Index>& sample, Index outputs, bool bytes)
    : setup_{[&] {
        const federate::Configuration c =
            text ? federate::read_configuration_text(*text, {}) : federate::read_configuration(file, {});
        return federate::set_up(c, {.train = shape_for(c, sample, outputs, bytes), .test = {}});
      }()} {}

Model::Model(const federate::Setup& setup, const federate::Model& model)
    : setup_{.configuration = setup.configuration,
             .data = {.train = without_samples(setup.data.train), .test = {}},
             .model = model,
             .planner = setup.planner,
             .plans = setup.plans} {}

federate::Model Model::copy() {
  const std::lock_guard lock(mutex_);
  return setup_.model;
}

py::array Model::predict(const py::array& x, std::optional<Index> threads) {
  const data::Dataset samples = samples_of(x, like());
  const Index count = threads_or_all(threads);
  loru::Tensor<float> y;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    loru::WorkerPool pool(count);
    y = loru::train::predict(setup_.model, samples, pool,
                             loru::train::make_task<float>(configuration().task));
  }
  return array_of(y);
}

py::dict Model::evaluate(const py::array& x, const py::array& y, std::optional<Index> threads) {
  const data::Dataset samples = samples_of(x, y, like());
  const Index count = threads_or_all(threads);
  const auto task = loru::train::make_task<float>(configuration().task);
  loru::train::Evaluation result;
  {
    const py::gil_scoped_release release;
    const std::lock_guard lock(mutex_);
    loru::WorkerPool pool(count);
    result = loru::train::evaluate(setup_.model, samples, pool, task);
  }
  py::dict values;
  for (std::size_t i = 0; i < task.metrics.size(); ++i)
    values[py::str(std::string(task.metrics[i].name))] = result.metrics[i];
  values["loss"] = result.loss;
  return values;
}

loru::io::Archive Model::archive(bool merged) {
  const std::lock_guard lock(mutex_);
  return merged ? loru::io::merged_archive(setup_.model) : loru::io::to_archive(setup_.model);
}

py::dict Model::arrays(bool merged) { return arrays_of(archive(merged)); }

void Model::set_arrays(const py::dict& arrays) {
  loru::io::Archive given = archive_of(arrays, "state");
  const std::lock_guard lock(mutex_);
  const loru::io::Archive own = loru::io::to_archive(setup_.model);
  drop_counters(given, own);
  require_own(given, own);
  given.metadata() = own.metadata();  // alpha
  federate::Model model = setup_.model;
  loru::io::from_archive(model, given);
  require_finite(model, given.origin());
  setup_.model = std::move(model);
}

void Model::save(const std::string& path, bool merged) { loru::io::save(path, archive(merged)); }

void Model::load(const std::string& path) {
  const std::lock_guard lock(mutex_);
  federate::Model model = setup_.model;
  loru::io::load(model, path);
  require_finite(model, path);
  setup_.model = std::move(model);
}

void Model::save_adapter(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  federate::save_adapter(folder, configuration(), setup_.model);
}

void Model::load_adapter(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  federate::Model model = setup_.model;
  loru::io::set_adapter(model, loru::io::bind_adapter(loru::io::load_adapter(folder), model));
  require_finite(model, folder);
  setup_.model = std::move(model);
}

std::string Model::sha256() { return federate::sha256(archive(false)); }

}  // namespace loru_python
