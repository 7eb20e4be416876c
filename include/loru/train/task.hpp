#pragma once
// Tasks: the loss of a batch, and the metrics of a whole data set.

#include <concepts>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <loru/data/batch.hpp>
#include <loru/nn/tokens.hpp>

namespace loru::inline LORU_ISA::train {

/// A number that tells how good a model is.
struct Metric {
  std::string_view name;
  bool higher_is_better = true;
};

/// A task for models of scalar T on device D: an aggregate that has
///
///   name      its word in a configuration
///   metrics   an array of Metric; models are compared by the first
///   Index outputs(const data::Dataset&) const
///             width of the model's last layer; throws ConfigError if the targets are not what the task needs
///   Variable<T, D> loss(const Variable<T, D>& outputs, const data::Batch<T, D>&) const
///             mean over the batch, a scalar
///   std::vector<double> observe(const Tensor<T, D>& outputs, const data::Batch<T, D>&) const
///             what the metrics need to know of a batch
///   std::vector<double> measure(std::span<const double> observed, Index samples) const
///             the metrics, from what was observed of all batches, one after the other in order
///
/// and may have
///
///   Variable<T, D> forward(nn::Model<T, D>&, const data::Batch<T, D>&, const nn::Pass&) const
///             the outputs; default: the model of batch.inputs, or of the batch's tokens (forward_batch)
template <class K, class T, class D>
concept TaskOf =
    requires(const K& task, const data::Dataset& dataset, const data::Batch<T, D>& batch,
             const Variable<T, D>& outputs, const Tensor<T, D>& values, std::span<const double> observed) {
      { K::name } -> std::convertible_to<std::string_view>;
      std::span<const Metric>(K::metrics);
      { task.outputs(dataset) } -> std::same_as<Index>;
      { task.loss(outputs, batch) } -> std::same_as<Variable<T, D>>;
      { task.observe(values, batch) } -> std::same_as<std::vector<double>>;
      { task.measure(observed, Index{}) } -> std::same_as<std::vector<double>>;
    };

/// The outputs of the model for batch.inputs or, where the batch has tokens, for these: they and their bounds
/// are in the pass then. `targets` are the next tokens that a decoder's head gives losses for.
template <class T, class D>
Variable<T, D> forward_batch(nn::Model<T, D>& model, const data::Batch<T, D>& batch, nn::Pass pass,
                             const Tensor<std::int32_t, D>& targets = {}) {
  if (!batch.tokens) return model(Variable<T, D>(batch.inputs), pass);
  nn::Tokens<D> tokens(batch.tokens, {batch.starts});
  tokens.targets = targets;
  pass.sequences = &tokens;
  return model(Variable<T, D>(batch.inputs), pass);
}

/// Any task, with its functions bound for scalar T on device D.
template <class T, class D = Cpu>
struct Task {
  std::string name;
  std::vector<Metric> metrics;
  std::function<Index(const data::Dataset&)> outputs;
  std::function<Variable<T, D>(nn::Model<T, D>&, const data::Batch<T, D>&, const nn::Pass&)> forward;
  std::function<Variable<T, D>(const Variable<T, D>&, const data::Batch<T, D>&)> loss;
  std::function<std::vector<double>(const Tensor<T, D>&, const data::Batch<T, D>&)> observe;
  std::function<std::vector<double>(std::span<const double>, Index)> measure;

  template <TaskOf<T, D> K>
  Task(const K& task);
};

template <class T, class D>
template <TaskOf<T, D> K>
Task<T, D>::Task(const K& task) : name{K::name}, metrics(std::begin(K::metrics), std::end(K::metrics)) {
  outputs = [task](const data::Dataset& dataset) { return task.outputs(dataset); };
  if constexpr (requires(nn::Model<T, D>& model, const data::Batch<T, D>& batch, const nn::Pass& pass) {
                  task.forward(model, batch, pass);
                })
    forward = [task](nn::Model<T, D>& model, const data::Batch<T, D>& batch, const nn::Pass& pass) {
      return task.forward(model, batch, pass);
    };
  else
    forward = [](nn::Model<T, D>& model, const data::Batch<T, D>& batch, const nn::Pass& pass) {
      return forward_batch(model, batch, pass);
    };
  loss = [task](const Variable<T, D>& y, const data::Batch<T, D>& batch) { return task.loss(y, batch); };
  observe = [task](const Tensor<T, D>& y, const data::Batch<T, D>& batch) { return task.observe(y, batch); };
  measure = [task](std::span<const double> observed, Index samples) {
    return task.measure(observed, samples);
  };
}

namespace detail {

/// Outputs and targets (N, k) in turn, row-major, on the host.
template <class T, class D>
std::vector<double> pairs(const Tensor<T, D>& outputs, const Tensor<T, D>& targets) {
  require_same_shape("metrics", outputs, targets);
  const Tensor<T> y = to_host(outputs), t = to_host(targets);
  std::vector<double> all;
  all.reserve(2 * static_cast<std::size_t>(y.size()));
  for (Index i = 0; i < y.size(); ++i) {
    all.push_back(static_cast<double>(value_of(y.data()[i])));
    all.push_back(static_cast<double>(value_of(t.data()[i])));
  }
  return all;
}

}  // namespace detail

}  // namespace loru::inline LORU_ISA::train
