#pragma once
// Outputs of a model.

#include <loru/core/parallel.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/tasks/classification.hpp>

namespace loru::inline LORU_ISA::train {

/// The outputs (N, k) for all samples, or of all their tokens (M, k), in order, on the host, in evaluation
/// mode. Batches run in parallel on the pool; on a device other than the host give a pool of one thread.
/// Throws DataError if there are no samples, ConfigError if batch < 1.
template <class T, class D>
Tensor<T> predict(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                  WorkerPool& pool, const std::type_identity_t<Task<T, D>>& task = Classification{},
                  Index batch = 256) {
  const Index count = dataset.size(), batches = (count + batch - 1) / std::max<Index>(batch, 1);
  require<DataError>(count > 0, "predict: ", dataset.dataset().name, ": expected at least one sample");
  require<ConfigError>(batch >= 1, "predict: batch: expected at least 1, got ", batch);
  std::vector<Tensor<T>> outputs(static_cast<std::size_t>(batches));
  pool.for_each(batches, [&](Index b) {
    NoGrad guard;
    std::vector<Index> samples;
    for (Index i = b * batch; i < std::min(count, (b + 1) * batch); ++i) samples.push_back(i);
    const auto chosen = dataset.template gather<T>(samples);
    outputs[static_cast<std::size_t>(b)] = to_host(task.forward(model, chosen, {}).value());
  });
  Index total = 0, numbers = 0;  // a batch of empty sequences has no rows
  for (const Tensor<T>& some : outputs) total += some.dim(0), numbers += some.size();
  Tensor<T> all({total, total > 0 ? numbers / total : 0});
  T* at = all.data();
  for (const Tensor<T>& rows : outputs) at = std::copy(rows.data(), rows.data() + rows.size(), at);
  return all;
}

}  // namespace loru::inline LORU_ISA::train
