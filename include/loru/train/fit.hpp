#pragma once
// Training without a federation.

#include <numeric>

#include <loru/train/loop.hpp>
#include <loru/train/tasks/classification.hpp>

namespace loru::inline LORU_ISA::train {

struct FitOptions {
  Index epochs = 1;
  Index batch = 32;
  optim::Options optimizer{};
  optim::Schedule schedule{};
  /// Whether the schedule counts steps instead of epochs.
  bool schedule_per_step = false;
  data::Augment augment{};
  std::uint64_t seed = 1;
};

/// Trains every trained parameter: `epochs` passes over the samples, each in a new order, in batches of which
/// the last may be smaller. Returns the mean loss of each epoch, as it was while training. Streams: (seed,
/// batches | augment | dropout). Throws ConfigError for options or samples that make no sense, DivergedError
/// if the loss is not finite.
template <class T, class D>
std::vector<double> fit(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                        std::span<const Index> samples, const FitOptions& o,
                        const std::type_identity_t<Task<T, D>>& task = Classification{},
                        const std::type_identity_t<AdjustGradients<T, D>>& adjust = {}) {
  require<ConfigError>(o.epochs >= 1, "fit: epochs: expected at least 1, got ", o.epochs);
  require<ConfigError>(o.batch >= 1, "fit: batch: expected at least 1, got ", o.batch);
  require<ConfigError>(!samples.empty(), "fit: expected at least one sample");
  task.outputs(dataset.dataset());  // throws for targets of another kind
  std::vector<Index> order(samples.begin(), samples.end());
  const auto count = static_cast<Index>(order.size()), steps = (count + o.batch - 1) / o.batch;
  Loop<T, D> loop(model, task, dataset, o.optimizer, o.augment, streams(o.seed, 0, 0), "fit");
  std::vector<double> losses;
  for (Index epoch = 0; epoch < o.epochs; ++epoch) {
    const auto rate = [&](Index step) {
      return o.schedule_per_step ? o.schedule.rate(o.optimizer.learning_rate, step, o.epochs * steps)
                                 : o.schedule.rate(o.optimizer.learning_rate, epoch, o.epochs);
    };
    double total = 0.0;
    loop.epoch(order, o.batch, rate, adjust, total);
    losses.push_back(total / static_cast<double>(count));
  }
  return losses;
}

/// On the whole data set.
template <class T, class D>
std::vector<double> fit(nn::Model<T, D>& model, const std::type_identity_t<DeviceData<D>>& dataset,
                        const FitOptions& options,
                        const std::type_identity_t<Task<T, D>>& task = Classification{},
                        const std::type_identity_t<AdjustGradients<T, D>>& adjust = {}) {
  std::vector<Index> samples(static_cast<std::size_t>(dataset.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  return fit(model, dataset, samples, options, task, adjust);
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_FIT(TEMPLATE, T)                                                                    \
  TEMPLATE std::vector<double> fit<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, std::span<const Index>, \
                                           const FitOptions&, const Task<T>&, const AdjustGradients<T>&); \
  TEMPLATE std::vector<double> fit<T, Cpu>(nn::Model<T>&, const DeviceData<Cpu>&, const FitOptions&,      \
                                           const Task<T>&, const AdjustGradients<T>&);
#ifdef LORU_COMPILED
LORU_COMPILED_FIT(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
