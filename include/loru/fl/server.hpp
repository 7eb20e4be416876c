#pragma once
// The server of a federation: messages in, messages out, and the global model between them.

#include <loru/fl/aggregate.hpp>
#include <loru/fl/algorithm/algorithm.hpp>

namespace loru::fl {

/// Holds the global model and does what the algorithm says. Used by Simulation, and alone by whoever moves the messages.
/// A round: broadcast(client) for each client of the cohort, receive(update) for each answer in the order of the
/// cohort, then finish_round(). Not thread-safe.
template <class T>
class Server {
 public:
  /// Throws ConfigError if the algorithm needs factored layers and the model has none.
  Server(nn::Model<T> model, AnyAlgorithm<T> algorithm, std::uint64_t seed)
      : model_{std::move(model)}, algorithm_{std::move(algorithm)}, seed_{seed} {
    Index factored = 0;
    lowrank::for_each_factored(model_, [&](const std::string&, auto&) { ++factored; });
    require<ConfigError>(!algorithm_.low_rank || factored > 0, algorithm_.name,
                         ": expected a model with factored layers (lowrank::factorize), got none");
  }

  nn::Model<T>& model() { return model_; }
  const AnyAlgorithm<T>& algorithm() const { return algorithm_; }
  /// The round that is running, or has just been finished, from 1.
  Index round() const { return round_; }
  Index merges() const { return history_.merges(); }
  std::uint64_t seed() const { return seed_; }

  /// Begins the next round.
  void begin_round() {
    ++round_;
    average_ = {};
  }

  /// The message for a client: the state, and the merges that it slept through.
  Message broadcast(Index client) {
    io::Archive archive("broadcast");
    detail::put_head(archive, "broadcast", {seed_, round_, client});
    archive.metadata()["merges"] = std::to_string(merges());
    algorithm_.broadcast(*this, archive, client);
    history_.catch_up(client, model_, archive);
    return io::serialise(archive);
  }

  /// Folds one update in. Throws DataError if it is malformed or belongs to another round.
  void receive(Message&& message) {
    const Update update = read_update(std::move(message));
    require<DataError>(update.head.round == round_, "server: update of client ", update.head.client,
                       ": expected round ", round_, ", got ", update.head.round);
    average_.add(update);
  }

  /// The new global state from what was received. Returns the cohort's mean training loss by samples. Throws
  /// DivergedError, and then keeps the state it had, if a mean is not finite.
  double finish_round() {
    const io::Archive mean = average_.result();
    algorithm_.fold(*this, mean);
    algorithm_.after_round(*this);
    return average_.loss();
  }

  /// W ← W + s·B·A in every factored layer, remembered for clients that sleep through it.
  void merge(lowrank::MergeKind kind) {
    history_.record(model_);
    lowrank::merge(model_, kind, rng::Stream(seed_, rng::Purpose::merge, static_cast<std::uint32_t>(round_)));
  }

 private:
  nn::Model<T> model_;
  AnyAlgorithm<T> algorithm_;
  std::uint64_t seed_;
  Index round_ = 0;
  Average<T> average_;
  MergeHistory<T> history_;
};

/// A client's whole turn: a broadcast and local data in, an update message out. `model` is the client's own; it must
/// have been built and factorised as the server's was, from the same seed, and stays with the client between rounds.
/// Throws DataError for a malformed message, DivergedError if the loss is not finite.
template <class T>
Message answer(nn::Model<T>& model, std::span<const std::byte> broadcast, const AnyAlgorithm<T>& algorithm,
               const data::Dataset& dataset, std::span<const Index> samples, const ClientOptions& options) {
  const io::Archive archive = io::borrow(broadcast, "broadcast");
  const Head head = detail::get_head(archive, "broadcast");
  apply_missed_merges(archive, model);
  get_state(archive, model);
  const double loss = algorithm.train({model, dataset, samples, options, head});
  return update_message(model, head, static_cast<Index>(samples.size()), loss);
}

}  // namespace loru::fl
