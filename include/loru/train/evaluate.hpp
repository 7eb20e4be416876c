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

/// Samples that an evaluation passes through the model at once.
inline constexpr Index evaluation_batch = 256;

/// What a task observed in a batch, and the loss summed over its samples.
struct Observation {
  double loss = 0.0;
  std::vector<double> observed{};
};

/// A batch in evaluation mode.
template <class T, class D>
Observation observe(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    std::span<const Index> batch, const std::type_identity_t<Task<T, D>>& task) {
  NoGrad guard;
  const auto chosen = dataset.template gather<T>(batch);
  const auto output = task.forward(model, chosen, {});
  std::vector<double> observed = task.observe(output.value(), chosen);
  return {item(task.loss(output, chosen)) * static_cast<double>(batch.size()), std::move(observed)};
}

/// The task's metrics and mean loss over batches of together `count` samples, in their order.
template <class T, class D>
Evaluation summarise(const Task<T, D>& task, std::span<const Observation> batches, Index count) {
  Evaluation result{.samples = count};
  std::vector<double> all;
  for (const Observation& batch : batches) {
    all.insert(all.end(), batch.observed.begin(), batch.observed.end());
    result.loss += batch.loss;
  }
  result.loss /= static_cast<double>(count);
  result.metrics = task.measure(all, count);
  for (std::size_t i = 0; i < task.metrics.size(); ++i)
    if (task.metrics[i].name == "accuracy") result.accuracy = result.metrics[i];
  return result;
}

/// The task's metrics and mean loss on the given samples, in evaluation mode. Batches run in parallel on the
/// pool and are added in order: the result does not depend on the threads.
/// On a device other than the host give a pool of one thread: its batches run one after the other.
/// Throws DataError if there are no samples, ConfigError if batch < 1 and as the task does.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    std::span<const Index> samples, WorkerPool& pool,
                    const std::type_identity_t<Task<T, D>>& task = Classification{},
                    Index batch = evaluation_batch) {
  require<DataError>(!samples.empty(), "evaluate: ", dataset.dataset().name,
                     ": expected at least one sample");
  require<ConfigError>(batch >= 1, "evaluate: batch: expected at least 1, got ", batch);
  task.outputs(dataset.dataset());  // throws for targets of another kind
  const auto count = static_cast<Index>(samples.size()), batches = (count + batch - 1) / batch;
  std::vector<Observation> observed(static_cast<std::size_t>(batches));
  pool.for_each(batches, [&](Index b) {
    const Index first = b * batch, size = std::min(batch, count - first);
    observed[static_cast<std::size_t>(b)] =
        observe(model, dataset,
                samples.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size)), task);
  });
  return summarise<T, D>(task, observed, count);
}

/// On the whole data set.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    WorkerPool& pool, const std::type_identity_t<Task<T, D>>& task = Classification{},
                    Index batch = evaluation_batch) {
  std::vector<Index> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  return evaluate(model, dataset, samples, pool, task, batch);
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_EVALUATE(TEMPLATE, T)                                                                \
  TEMPLATE Observation observe<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, std::span<const Index>,      \
                                       const Task<T>&);                                                    \
  TEMPLATE Evaluation summarise<T, Cpu>(const Task<T>&, std::span<const Observation>, Index);              \
  TEMPLATE Evaluation evaluate<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, std::span<const Index>,      \
                                       WorkerPool&, const Task<T>&, Index);                                \
  TEMPLATE Evaluation evaluate<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, WorkerPool&, const Task<T>&, \
                                       Index);
#ifdef LORU_COMPILED
LORU_COMPILED_EVALUATE(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
