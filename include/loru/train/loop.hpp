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

  /// `steps` steps in passes over the samples. Each pass puts them into a new order and takes them in batches
  /// of which the last may be smaller; the last pass may end early. rate(step) is the learning rate of the
  /// step, counted from 0 over all calls. Adds loss · samples of each batch to `total`, one by one. Returns
  /// the number of samples seen. Throws DivergedError if a loss is not finite: before the step is taken, or
  /// on a device other than the host after the last one, since nothing waits for the device before.
  template <class Rate>
  Index run(std::span<Index> samples, Index batch, Index steps, const Rate& rate,
            const AdjustGradients<T, D>& adjust, double& total) {
    const Batches plan{static_cast<Index>(samples.size()), batch, steps};
    const Index begin = step_;
    const Ahead<D> ahead = draw_ahead(samples, plan);
    Losses losses(steps);
    auto recording = make_recording();
    for (Index i = 0; i < steps; ++i, ++step_) {
      const Index first = plan.first(i), size = plan.size(i);
      const double learning_rate = rate(step_);
      if (!ahead.rows && first == 0) streams_.order.shuffle(samples);
      const auto step = [&] {
        const Variable<T, D> loss = forward(
            ahead.rows
                ? gather(ahead, losses.position, size)
                : gather(samples.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(size))));
        if (losses.values)
          losses.put(size, loss.value());
        else
          add(total, item(loss), step_, size);
        loss.backward();
        if (adjust) adjust(optimizer_->parameters());
        optimizer_->step(learning_rate);
      };
      if (ahead.rows && !adjust && size == batch)
        recording.run(learning_rate, step);
      else
        step();
    }
    if (losses.values) {
      const Tensor<T> values = to_host(losses.values);
      for (Index i = 0; i < steps; ++i)
        add(total, static_cast<double>(value_of(values.data()[i])), begin + i, plan.size(i));
    }
    return plan.seen(steps);
  }

  /// One pass, or its first `steps` steps.
  template <class Rate>
  Index epoch(std::span<Index> samples, Index batch, const Rate& rate, const AdjustGradients<T, D>& adjust,
              double& total, Index steps = std::numeric_limits<Index>::max()) {
    const Index pass = (static_cast<Index>(samples.size()) + batch - 1) / batch;
    return run(samples, batch, std::min(steps, pass), rate, adjust, total);
  }

 private:
  /// The batches of `steps` steps over `count` samples.
  struct Batches {
    Index count, batch, steps;
    Index pass() const { return (count + batch - 1) / batch; }
    /// The first sample of a step in its pass, and how many there are.
    Index first(Index step) const { return step % pass() * batch; }
    Index size(Index step) const { return std::min(batch, count - first(step)); }
    /// Samples of the steps before.
    Index seen(Index step) const { return step == 0 ? 0 : step / pass() * count + first(step); }
  };

  /// The losses of steps on a device that keeps them until they are read, empty on others, and the sample and
  /// the step that come next, in the device's memory too.
  struct Losses {
    Tensor<T, D> values;
    Tensor<std::int32_t, D> position;

    static constexpr bool kept =
        requires(Tensor<T, D> y, Tensor<std::int32_t, D> at) { put_loss(y, at, Index{}, y); };
    explicit Losses([[maybe_unused]] Index steps) {
      if constexpr (kept) {
        values = Tensor<T, D>(Shape{steps});
        position = Tensor<std::int32_t, D>(Shape{2});
        fill(position, std::int32_t{0});
      }
    }
    void put([[maybe_unused]] Index samples, [[maybe_unused]] const Tensor<T, D>& loss) {
      if constexpr (kept) put_loss(values, position, samples, loss);
    }
  };

  /// Runs each step as it is.
  struct NoRecording {
    template <class Step>
    void run(double, const Step& step) {
      step();
    }
  };

  /// What runs the steps of whole batches: a device may record one and start it again as a whole.
  static auto make_recording() {
    if constexpr (requires { step_recording(D{}); })
      return step_recording(D{});
    else
      return NoRecording{};
  }

  /// The samples of all batches, where the device gathers from them: puts the samples into the order of each
  /// pass in turn. Empty elsewhere.
  Ahead<D> draw_ahead(std::span<Index> samples, const Batches& plan);

  const data::Augment* augment() const { return augment_.pad > 0 || augment_.flip ? &augment_ : nullptr; }

  data::Batch<T, D> gather(std::span<const Index> samples);
  data::Batch<T, D> gather(const Ahead<D>& ahead, const Tensor<std::int32_t, D>& position, Index size) const;

  /// The loss of a batch; the parameters have no gradients.
  Variable<T, D> forward(const data::Batch<T, D>& batch);

  /// Adds a step's loss to the total. Throws DivergedError unless it is finite.
  void add(double& total, double loss, Index step, Index samples) const;

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
Ahead<D> Loop<T, D>::draw_ahead(std::span<Index> samples, const Batches& plan) {
  if (!dataset_.gathers_ahead()) return {};
  std::vector<Index> all;
  all.reserve(static_cast<std::size_t>(plan.seen(plan.steps)));
  for (Index i = 0; i < plan.steps; ++i) {
    if (plan.first(i) == 0) streams_.order.shuffle(samples);
    const auto batch =
        samples.subspan(static_cast<std::size_t>(plan.first(i)), static_cast<std::size_t>(plan.size(i)));
    all.insert(all.end(), batch.begin(), batch.end());
  }
  return dataset_.ahead(all, augment(), augment() ? &streams_.augmentation : nullptr);
}

template <class T, class D>
data::Batch<T, D> Loop<T, D>::gather(std::span<const Index> samples) {
  return dataset_.template gather<T>(samples, augment(), augment() ? &streams_.augmentation : nullptr);
}

template <class T, class D>
data::Batch<T, D> Loop<T, D>::gather([[maybe_unused]] const Ahead<D>& ahead,
                                     [[maybe_unused]] const Tensor<std::int32_t, D>& position,
                                     [[maybe_unused]] Index size) const {
  if constexpr (DeviceData<D>::gathers_rows)
    return dataset_.template gather<T>(ahead, position, size);
  else
    return {};  // nothing is ahead
}

template <class T, class D>
Variable<T, D> Loop<T, D>::forward(const data::Batch<T, D>& batch) {
  optimizer_->clear_gradients();
  const auto dropout = streams_.dropout.fork(static_cast<std::uint32_t>(step_));
  return task_.loss(task_.forward(model_, batch, nn::Pass::train(dropout)), batch);
}

template <class T, class D>
void Loop<T, D>::add(double& total, double loss, Index step, Index samples) const {
  require<DivergedError>(std::isfinite(loss), where_, ": the loss is ",
                         std::isnan(loss) ? "not a number" : "infinite", " at local step ", step + 1);
  total += loss * static_cast<double>(samples);
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LOOP(TEMPLATE, T) TEMPLATE class Loop<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_LOOP(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::train
