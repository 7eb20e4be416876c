#pragma once
// How a client trains.

#include <cmath>
#include <type_traits>

#include <loru/fl/algorithm.hpp>
#include <loru/train/loop.hpp>

namespace loru::inline LORU_ISA::fl {

using train::AdjustGradients;

/// The most epochs, and the most steps, of a client's turn: their product with a pass of it fits an Index.
inline constexpr Index most_passes = Index{1} << 31;

/// How clients train.
struct ClientOptions {
  Index epochs = 1;
  /// If above 0: steps of a turn, in as many passes as they take, in place of epochs.
  Index steps = 0;
  Index batch = 32;
  optim::Options optimizer{};
  optim::Schedule schedule{};
  /// Whether the schedule counts local steps of a turn instead of rounds.
  bool schedule_per_step = false;
  /// Rounds of the whole federation; a cosine over rounds needs to know.
  Index rounds = 0;
  data::Augment augment{};

  static constexpr auto fields() {
    using C = ClientOptions;
    return Fields{
        field("client.epochs", &C::epochs, range::between(1, most_passes),
              "passes over its samples in a client's turn"),
        field("client.steps", &C::steps, range::between(0, most_passes),
              "if above 0: steps of a turn, in as many passes as they take, in place of epochs"),
        field("client.batch", &C::batch, range::at_least(1), "samples a step"),
        section("optimizer", &C::optimizer),
        section("schedule", &C::schedule),
        field("schedule.per", &C::schedule_per_step, words<bool>({{"round", false}, {"step", true}}),
              "what the schedule counts: rounds, or local steps of a turn")};
  }
};

/// Throws ConfigError for options that make no sense.
inline void check(const ClientOptions& o) {
  check_fields(o);
  require<ConfigError>(
      o.rounds >= 1 || o.schedule_per_step || o.schedule.kind != optim::ScheduleKind::cosine,
      "client: rounds: expected the number of rounds for a cosine schedule over rounds, got ", o.rounds);
}

/// While one is alive, the model's trained parameters outside the selection stand still: no gradient is taken
/// for them.
template <class T, class D = Cpu>
class TrainOnly {
 public:
  TrainOnly(nn::Model<T, D>& model, const Selection& selection) {
    for (auto& p : model.trained_parameters()) {
      if (chosen(selection, p.id())) continue;
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

/// Plain local training of every trained parameter with a fresh optimizer: `epochs` passes over the samples,
/// or as many as `steps` batches take, each in a new order, in batches of which the last of a pass may be
/// smaller. Returns the mean loss over all samples seen. Streams: order (seed, batches, round, client),
/// augmentation and dropout alike. Throws ConfigError as check() and the optimizer do and for a client
/// without samples, DivergedError with round and client if the loss is not finite.
template <class T, class D>
double train(const Turn<T, D>& turn, const std::type_identity_t<AdjustGradients<T, D>>& adjust) {
  const ClientOptions& o = turn.options;
  check(o);
  require<ConfigError>(!turn.samples.empty(), "client ", turn.head.client, ": expected at least one sample");
  std::vector<Index> samples(turn.samples.begin(), turn.samples.end());
  const auto count = static_cast<Index>(samples.size()), pass = (count + o.batch - 1) / o.batch,
             steps = o.steps > 0 ? o.steps : o.epochs * pass;
  const auto rate = [&](Index step) {
    return o.schedule_per_step ? o.schedule.rate(o.optimizer.learning_rate, step, steps)
                               : o.schedule.rate(o.optimizer.learning_rate, turn.head.round - 1, o.rounds);
  };
  const auto round = static_cast<std::uint32_t>(turn.head.round),
             client = static_cast<std::uint32_t>(turn.head.client);
  train::Loop<T, D> loop(turn.model, turn.task, turn.dataset, o.optimizer, o.augment,
                         train::streams(turn.head.seed, round, client),
                         concat("round ", turn.head.round, ", client ", turn.head.client));
  double total = 0.0;
  const Index seen = loop.run(samples, o.batch, steps, rate, adjust, total);
  return total / static_cast<double>(seen);
}

template <class T, class D>
double train(const Turn<T, D>& turn) {
  return train(turn, {});
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_TRAIN(TEMPLATE, T) \
  TEMPLATE double train<T, Cpu>(const Turn<T>&, const AdjustGradients<T>&);
#ifdef LORU_COMPILED
LORU_COMPILED_TRAIN(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
