#pragma once
// Accuracy and loss of a model on a data set.

#include <numeric>
#include <vector>

#include <loru/core/parallel.hpp>
#include <loru/train/device_data.hpp>
#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::fl {

struct Evaluation {
  double accuracy = 0.0;
  double loss = 0.0;
  Index samples = 0;
};

/// Share of the given samples whose largest logit is the label's, and mean cross-entropy, in evaluation mode. Batches run in
/// parallel on the pool and are added in order: the result does not depend on the threads.
/// On a device other than the host give a pool of one thread: its batches run one after the other.
/// Throws DataError if the data set is empty, ConfigError if batch < 1.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    std::span<const Index> samples, WorkerPool& pool, Index batch = 256) {
  require<DataError>(!samples.empty(), "evaluate: ", dataset.dataset().name,
                     ": expected at least one sample");
  require<ConfigError>(batch >= 1, "evaluate: batch: expected at least 1, got ", batch);
  const auto count = static_cast<Index>(samples.size()), batches = (count + batch - 1) / batch;
  std::vector<Index> correct(static_cast<std::size_t>(batches));
  std::vector<double> losses(correct.size());
  pool.for_each(batches, [&](Index b) {
    NoGrad guard;
    const Index first = b * batch, size = std::min(batch, count - first);
    const auto chosen = dataset.template gather<T>(
        samples.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size)));
    const auto output = model(Variable<T, D>(chosen.inputs));
    const auto at = static_cast<std::size_t>(b);
    correct[at] = count_correct(output.value(), chosen.labels);
    losses[at] = item(cross_entropy(output, chosen.labels)) * static_cast<double>(size);
  });
  Evaluation result{0.0, 0.0, count};
  Index hits = 0;
  for (std::size_t b = 0; b < correct.size(); ++b) {
    hits += correct[b];
    result.loss += losses[b];
  }
  result.accuracy = static_cast<double>(hits) / static_cast<double>(count);
  result.loss /= static_cast<double>(count);
  return result;
}

/// On the whole data set.
template <class T, class D>
Evaluation evaluate(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                    WorkerPool& pool, Index batch = 256) {
  std::vector<Index> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  return evaluate(model, dataset, samples, pool, batch);
}

#ifdef LORU_COMPILED
extern template Evaluation evaluate<float, Cpu>(nn::Model<float>&, const DeviceData<Cpu>&,
                                                std::span<const Index>, WorkerPool&, Index);
#endif

}  // namespace loru::fl
