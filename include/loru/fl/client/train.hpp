#pragma once
// A client's turn: from a broadcast and local data to an update.

#include <cmath>
#include <functional>
#include <type_traits>

#include <loru/train/device_data.hpp>
#include <loru/fl/message/merges.hpp>
#include <loru/optim/optim.hpp>

namespace loru::inline LORU_ISA::fl {

/// How clients train.
struct ClientOptions {
  Index epochs = 1;
  Index batch = 32;
  optim::Options optimizer{};
  optim::Schedule schedule{};
  /// Whether the schedule counts local steps of a turn instead of rounds.
  bool schedule_per_step = false;
  /// Rounds of the whole federation; a cosine over rounds needs to know.
  Index rounds = 0;
  data::Augment augment{};
};

/// Throws ConfigError for options that make no sense.
inline void check(const ClientOptions& o) {
  require<ConfigError>(o.epochs >= 1, "client: epochs: expected at least 1, got ", o.epochs);
  require<ConfigError>(o.batch >= 1, "client: batch: expected at least 1, got ", o.batch);
  require<ConfigError>(o.optimizer.learning_rate > 0.0 && std::isfinite(o.optimizer.learning_rate),
                       "optimizer: learning_rate: expected a positive number, got ",
                       o.optimizer.learning_rate);
  require<ConfigError>(o.optimizer.clip_norm >= 0.0, "optimizer: clip_norm: expected at least 0, got ",
                       o.optimizer.clip_norm);
  o.schedule.rate(o.optimizer.learning_rate, 0, 1);  // throws for a schedule that makes no sense
  require<ConfigError>(
      o.rounds >= 1 || o.schedule_per_step || o.schedule.kind != optim::ScheduleKind::cosine,
      "client: rounds: expected the number of rounds for a cosine schedule over rounds, got ", o.rounds);
}

/// What a client trains: its copy of the model and its samples. `broadcast` is what it was sent, `state` its own tensors, which
/// it finds again in its next turn if the round succeeds; their names say whose they are (`<layer>.personal_A.weight`). What it
/// puts into `more` goes up besides the model's state.
template <class T, class D = Cpu>
struct Turn {
  nn::Model<T, D>& model;
  DeviceData<D> dataset;
  std::span<const Index> samples;
  const ClientOptions& options;
  Head head;
  io::Archive& state;
  const io::Archive& broadcast;
  io::Archive& more;
};

/// While one is alive, the model's trained parameters outside the selection stand still: no gradient is taken for them.
template <class T, class D = Cpu>
class TrainOnly {
 public:
  TrainOnly(nn::Model<T, D>& model, const Selection& selection) {
    for (auto& p : model.trained_parameters()) {
      if (chosen(selection, p.name)) continue;
      p.value.set_requires_grad(false);
      still_.push_back(p.value);
    }
  }
  TrainOnly(const TrainOnly&) = delete;
  TrainOnly& operator=(const TrainOnly&) = delete;
  ~TrainOnly() {
    for (auto& p : still_) p.set_requires_grad(true);
  }

 private:
  std::vector<Variable<T, D>> still_;
};

/// What may change the gradients of a step before they are used; it is shown the trained parameters.
template <class T, class D = Cpu>
using AdjustGradients = std::function<void(std::vector<Variable<T, D>>&)>;

/// Plain local training of every trained parameter with a fresh optimizer: `epochs` passes over the samples, each in a
/// new order, in batches of which the last may be smaller. Returns the mean loss over all samples seen.
/// Streams: order (seed, batches, round, client), augmentation and dropout alike.
/// Throws ConfigError as check() and the optimizer do and for a client without samples, DivergedError with round and
/// client if the loss is not finite.
template <class T, class D>
double train(const Turn<T, D>& turn, const std::type_identity_t<AdjustGradients<T, D>>& adjust) {
  const ClientOptions& o = turn.options;
  check(o);
  require<ConfigError>(!turn.samples.empty(), "client ", turn.head.client, ": expected at least one sample");
  const auto round = static_cast<std::uint32_t>(turn.head.round),
             client = static_cast<std::uint32_t>(turn.head.client);
  rng::Stream order(turn.head.seed, rng::Purpose::batches, round, client);
  rng::Stream augment(turn.head.seed, rng::Purpose::augment, round, client);
  const rng::Stream dropout(turn.head.seed, rng::Purpose::dropout, round, client);
  std::vector<Variable<T, D>> parameters;
  for (auto& p : turn.model.trained_parameters()) parameters.push_back(p.value);
  const auto optimizer = optim::make(o.optimizer, parameters);
  const bool augmented = o.augment.pad > 0 || o.augment.flip;

  std::vector<Index> samples(turn.samples.begin(), turn.samples.end());
  const auto count = static_cast<Index>(samples.size()), steps = o.epochs * ((count + o.batch - 1) / o.batch);
  double total = 0.0;
  Index step = 0;
  for (Index epoch = 0; epoch < o.epochs; ++epoch) {
    order.shuffle(std::span(samples));
    for (Index first = 0; first < count; first += o.batch, ++step) {
      const auto size = std::min(o.batch, count - first);
      const std::span<const Index> chosen(samples.data() + first, static_cast<std::size_t>(size));
      const auto batch = turn.dataset.template gather<T>(chosen, augmented ? &o.augment : nullptr,
                                                         augmented ? &augment : nullptr);
      optimizer->clear_gradients();
      const auto output = turn.model(Variable<T, D>(batch.inputs),
                                     nn::Pass::train(dropout.fork(static_cast<std::uint32_t>(step))));
      const auto loss = cross_entropy(output, batch.labels);
      const double value = item(loss);
      require<DivergedError>(std::isfinite(value), "round ", turn.head.round, ", client ", turn.head.client,
                             ": the loss is ", std::isnan(value) ? "not a number" : "infinite",
                             " at local step ", step + 1);
      loss.backward();
      if (adjust) adjust(optimizer->parameters());
      optimizer->step(o.schedule_per_step
                          ? o.schedule.rate(o.optimizer.learning_rate, step, steps)
                          : o.schedule.rate(o.optimizer.learning_rate, turn.head.round - 1, o.rounds));
      total += value * static_cast<double>(size);
    }
  }
  optimizer->clear_gradients();
  return total / static_cast<double>(o.epochs * count);
}

template <class T, class D>
double train(const Turn<T, D>& turn) {
  return train(turn, {});
}

#ifdef LORU_COMPILED
extern template double train<float, Cpu>(const Turn<float>&, const AdjustGradients<float>&);
#endif

}  // namespace loru::fl
