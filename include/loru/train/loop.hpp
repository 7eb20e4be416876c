#pragma once
// The training loop that fit and the clients of a federation share.

#include <cmath>
#include <functional>
#include <limits>

#include <loru/optim/optim.hpp>
#include <loru/train/device_data.hpp>
#include <loru/train/task.hpp>

namespace loru::inline LORU_ISA::train {

/// A function that may change the gradients of a step before they are used. Its argument is the trained
/// parameters.
template <class T, class D = Cpu>
using AdjustGradients = std::function<void(std::vector<Variable<T, D>>&)>;

/// The random draws of a loop.
struct Streams {
  rng::Stream order, augmentation, dropout;
};

/// The streams (seed, batches | augment | dropout, round, client).
inline Streams streams(std::uint64_t seed, std::uint32_t round, std::uint32_t client) {
  return {rng::Stream(seed, rng::Purpose::batches, round, client),
          rng::Stream(seed, rng::Purpose::augment, round, client),
          rng::Stream(seed, rng::Purpose::dropout, round, client)};
}

/// Training in progress: every trained parameter of a model by one optimizer.
template <class T, class D = Cpu>
class Loop {
 public:
  /// `where` begins the errors. Keeps references to model, task, data and augmentation, which must outlive
  /// it. Throws ConfigError as the optimizer does.
  Loop(nn::Model<T, D>& model, const Task<T, D>& task, const DeviceData<D>& dataset,
       const optim::Options& optimizer, const data::Augment& augment, Streams streams, std::string where);
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// One pass over the samples, which it puts into a new order, in batches of which the last may be smaller;
  /// it ends early after `steps` of them. rate(step) is the learning rate of the step, counted from 0 over
  /// all passes. Adds loss · samples of each batch to `total`, one by one. Returns the number of samples
  /// seen. Throws DivergedError if the loss is not finite.
  template <class Rate>
  Index epoch(std::span<Index> samples, Index batch, const Rate& rate, const AdjustGradients<T, D>& adjust,
              double& total, Index steps = std::numeric_limits<Index>::max()) {
    streams_.order.shuffle(samples);
    const auto count = static_cast<Index>(samples.size());
    Index first = 0;
    for (; first < count && steps > 0; first += batch, ++step_, --steps) {
      const auto size = std::min(batch, count - first);
      const double value = backward(samples.subspan(static_cast<std::size_t>(first),  //
                                                    static_cast<std::size_t>(size)));
      if (adjust) adjust(optimizer_->parameters());
      optimizer_->step(rate(step_));
      total += value * static_cast<double>(size);
    }
    return std::min(first, count);
  }

 private:
  /// The loss of a batch; the parameters have its gradients.
  double backward(std::span<const Index> samples);

  nn::Model<T, D>& model_;
  const Task<T, D>& task_;
  const DeviceData<D>& dataset_;
  const data::Augment& augment_;
  Streams streams_;
  std::string where_;
  std::unique_ptr<optim::Optimizer<T, D>> optimizer_;
  Index step_ = 0;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
Loop<T, D>::Loop(nn::Model<T, D>& model, const Task<T, D>& task, const DeviceData<D>& dataset,
                 const optim::Options& optimizer, const data::Augment& augment, Streams streams,
                 std::string where)
    : model_{model},
      task_{task},
      dataset_{dataset},
      augment_{augment},
      streams_{std::move(streams)},
      where_{std::move(where)} {
  std::vector<Variable<T, D>> parameters;
  for (auto& p : model.trained_parameters()) parameters.push_back(p.value);
  optimizer_ = optim::make(optimizer, parameters);
}

template <class T, class D>
Loop<T, D>::~Loop() {
  optimizer_->clear_gradients();
}

template <class T, class D>
double Loop<T, D>::backward(std::span<const Index> samples) {
  const bool augmented = augment_.pad > 0 || augment_.flip;
  const auto batch = dataset_.template gather<T>(samples, augmented ? &augment_ : nullptr,
                                                 augmented ? &streams_.augmentation : nullptr);
  optimizer_->clear_gradients();
  const auto dropout = streams_.dropout.fork(static_cast<std::uint32_t>(step_));
  const auto loss = task_.loss(task_.forward(model_, batch, nn::Pass::train(dropout)), batch);
  const double value = item(loss);
  require<DivergedError>(std::isfinite(value), where_, ": the loss is ",
                         std::isnan(value) ? "not a number" : "infinite", " at local step ", step_ + 1);
  loss.backward();
  return value;
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LOOP(TEMPLATE, T) TEMPLATE class Loop<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_LOOP(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
