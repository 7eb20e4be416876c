#pragma once
// Loss and metrics of a model on a data set.

#include <limits>
#include <numeric>
#include <vector>

#include <loru/core/parallel.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/tasks/classification.hpp>

namespace loru::inline LORU_ISA::train {

/// The task's metrics in its order. `accuracy` is the metric of this name, NaN for a task without one.
struct Evaluation {
  double accuracy = std::numeric_limits<double>::quiet_NaN();
  double loss = 0.0;
  Index samples = 0;
  std::vector<double> metrics{};
};

/// The task's metrics and mean loss on the given samples, in evaluation mode. Batches run in parallel on the
/// pool and are added in order: the result does not depend on the threads.
/// On a device other than the host give a pool of one thread: its batches run one after the other.
/// Throws DataError if there are no samples, ConfigError if batch < 1 and as the task does.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    std::span<const Index> samples, WorkerPool& pool,
                    const std::type_identity_t<Task<T, D>>& task = Classification{}, Index batch = 256) {
  require<DataError>(!samples.empty(), "evaluate: ", dataset.dataset().name,
                     ": expected at least one sample");
  require<ConfigError>(batch >= 1, "evaluate: batch: expected at least 1, got ", batch);
  task.outputs(dataset.dataset());  // throws for targets of another kind
  const auto count = static_cast<Index>(samples.size()), batches = (count + batch - 1) / batch;
  std::vector<std::vector<double>> observed(static_cast<std::size_t>(batches));
  std::vector<double> losses(observed.size()), all;
  pool.for_each(batches, [&](Index b) {
    NoGrad guard;
    const Index first = b * batch, size = std::min(batch, count - first);
    const auto chosen = dataset.template gather<T>(
        samples.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size)));
    const auto output = task.forward(model, chosen, {});
    const auto at = static_cast<std::size_t>(b);
    observed[at] = task.observe(output.value(), chosen);
    losses[at] = item(task.loss(output, chosen)) * static_cast<double>(size);
  });
  Evaluation result{.samples = count};
  for (std::size_t b = 0; b < observed.size(); ++b) {
    all.insert(all.end(), observed[b].begin(), observed[b].end());
    result.loss += losses[b];
  }
  result.loss /= static_cast<double>(count);
  result.metrics = task.measure(all, count);
  for (std::size_t i = 0; i < task.metrics.size(); ++i)
    if (task.metrics[i].name == "accuracy") result.accuracy = result.metrics[i];
  return result;
}

/// On the whole data set.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    WorkerPool& pool, const std::type_identity_t<Task<T, D>>& task = Classification{},
                    Index batch = 256) {
  std::vector<Index> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  return evaluate(model, dataset, samples, pool, task, batch);
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_EVALUATE(TEMPLATE, T)                                                                \
  TEMPLATE Evaluation evaluate<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, std::span<const Index>,      \
                                       WorkerPool&, const Task<T>&, Index);                                \
  TEMPLATE Evaluation evaluate<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, WorkerPool&, const Task<T>&, \
                                       Index);
#ifdef LORU_COMPILED
LORU_COMPILED_EVALUATE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
