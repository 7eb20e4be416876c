#pragma once
// A model as Python has it: what a configuration describes, with the shape of its samples and no data.

#include <mutex>
#include <optional>
#include <string>

#include "array.hpp"
#include "federation.hpp"

namespace loru_python {

class Model {
 public:
  /// The model of a configuration, in TOML or in a file, for samples of this shape, floats or bytes.
  /// `outputs` are the classes, or the numbers of a target. Throws as federate::set_up does.
  Model(const std::optional<std::string>& text, const std::string& file, const std::vector<Index>& sample,
        Index outputs, bool bytes);

  /// The model of a run, or another one of the same setup.
  Model(const federate::Setup& setup, const federate::Model& model);

  const federate::Setup& setup() const { return setup_; }
  const federate::Configuration& configuration() const { return setup_.configuration; }
  /// The shape and the kind of samples and targets.
  const loru::data::Dataset& like() const { return setup_.data.train; }

  /// A copy, which shares frozen weights.
  federate::Model copy();

  /// Outputs (N, k) for samples x (N, ...).
  py::array predict(const py::array& x, std::optional<Index> threads);
  /// The fraction or mean of each metric of the task, and the loss.
  py::dict evaluate(const py::array& x, const py::array& y, std::optional<Index> threads);

  py::dict arrays(bool merged);
  /// Throws DataError unless they are the model's parameters and buffers, all finite. The counters of
  /// PyTorch's batch normalisation, `<norm>.num_batches_tracked`, may be among them.
  void set_arrays(const py::dict& arrays);
  void save(const std::string& path, bool merged);
  void load(const std::string& path);
  void save_adapter(const std::string& folder);
  void load_adapter(const std::string& folder);
  std::string sha256();

 private:
  loru::io::Archive archive(bool merged);

  federate::Setup setup_;
  std::mutex mutex_;  // calls from several threads take turns
};

/// Threads, all cores if none are given. Throws ConfigError unless 1 to 4096.
Index threads_or_all(std::optional<Index> threads);

}  // namespace loru_python
