#pragma once
// The server of a federation: messages in, messages out, and the global model between them.

#include <optional>
#include <set>
#include <type_traits>

#include <loru/fl/server/aggregate.hpp>
#include <loru/fl/server/aggregation_error.hpp>
#include <loru/fl/message/resize.hpp>
#include <loru/fl/server/client_ranks.hpp>
#include <loru/fl/message/downlink.hpp>
#include <loru/fl/message/uplink.hpp>
#include <loru/fl/server/server_optimizer.hpp>

namespace loru::inline LORU_ISA::fl {

/// What a server is told besides the model and the algorithm.
struct ServerOptions {
  ClientRanks ranks{};          ///< of the clients, where they have ranks of their own
  Index clients = 0;            ///< of the federation; 0: not known
  ServerOptimizer optimizer{};  ///< what becomes of the mean
  Codecs codecs{};              ///< of the messages
  Index rounds_before = 0;  ///< rounds that were run otherwise, of a warm-up: the first one here is the next
  /// Whether clients know the first frozen weights, which come from the seed; else each gets them once.
  bool weights_known = true;
};

/// Holds the global model and does what the algorithm says. Used by Simulation, and alone by whoever moves the messages.
/// A round: begin_round(), broadcast(client) for each client of the cohort, receive(update) for each answer, always in
/// one order where the bits of the mean matter, then finish_round(). Messages and means
/// are the host's, the model is on device D. A broadcast counts as received: one that was lost
/// must be sent again as it is, since the next one leaves out the merges it told of. Not thread-safe.
template <class T, class D>
class Server {
 public:
  /// Throws ConfigError if the algorithm needs layers parametrised by factors and the model has none, if clients have ranks of
  /// their own and the layers are not W + s·B·A or the downlink is coded by top_k, and for options out of range.
  Server(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, std::uint64_t seed, ServerOptions options = {})
      : model_{std::move(model)},
        algorithm_{std::move(algorithm)},
        seed_{seed},
        clients_{options.clients},
        round_{options.rounds_before},
        optimizer_{options.optimizer},
        client_ranks_{std::move(options.ranks)},
        codecs_{options.codecs},
        downlink_{codecs_.downlink, codecs_.keep, seed},
        factors_since_{options.rounds_before},
        history_{options.weights_known} {
    check(optimizer_);
    check(codecs_);
    require<ConfigError>(options.rounds_before >= 0, "server: rounds_before: expected at least 0, got ",
                         options.rounds_before);
    Index suited = 0;
    model_.visit({.weight = [&](const std::string&, nn::Weight<T, D>& w) { suited += algorithm_.suits(w); }});
    require<ConfigError>(
        !algorithm_.low_rank || suited > 0, algorithm_.name,
        ": expected a model with layers factored for it (AnyAlgorithm::parametrise), got none");
    const std::vector<Index> layers = lowrank::ranks(model_);
    const bool mixed = client_ranks_.mixed(layers);
    resizes_ = mixed && !algorithm_.mixed_ranks;
    Index additive = 0;
    lowrank::for_each_weight<nn::Factored>(model_, [&](auto&, auto&) { ++additive; });
    require<ConfigError>(!resizes_ || additive == std::ssize(layers), algorithm_.name,
                         ": expected the same ranks for all clients: its weights have no leading directions");
    require<ConfigError>(
        codecs_.downlink != Code::top_k || !(algorithm_.prunes || mixed),
        "codec: downlink: top_k: expected clients that are sent the same, got ranks of their own under ",
        algorithm_.name);
  }

  nn::Model<T, D>& model() { return model_; }
  const AnyAlgorithm<T, D>& algorithm() const { return algorithm_; }
  /// The round that is running, or has just been finished, from 1.
  Index round() const { return round_; }
  Index merges() const { return history_.merges(); }
  std::uint64_t seed() const { return seed_; }
  /// The client's ranks in the factored layers, in the model's order.
  std::vector<Index> ranks(Index client) {
    const auto own = own_ranks_.find(client);
    return own != own_ranks_.end() ? own->second : client_ranks_.of(client, lowrank::ranks(model_));
  }
  /// Whether clients have ranks of their own and the algorithm no rule for them: factors are brought to them and back
  /// (resize_factors).
  bool resizes() const { return resizes_; }
  /// The model; of the client's ranks if the server resizes.
  nn::Model<T, D> client_model(Index client) {
    nn::Model<T, D> model = model_;
    if (resizes_) lowrank::set_ranks(model, ranks(client));
    return model;
  }
  /// Other ranks for the client from now on.
  void set_ranks(Index client, std::vector<Index> ranks) { own_ranks_[client] = std::move(ranks); }
  Index clients() const { return clients_; }
  /// What the clients of this round train, and what they send of it.
  Selection trained() const { return algorithm_.trained(round_); }
  Selection sent() const { return algorithm_.sent(round_); }
  /// What the algorithm itself remembers from round to round. Change it last in a fold: a round that fails keeps it.
  io::Archive& memory() { return memory_; }

  /// Whether finish_round() measures what the fold loses; the updates of a round are then kept.
  void measure_aggregation(bool wanted) { measures_ = wanted; }
  /// Of the last round, by layer; empty unless it is measured.
  const std::map<std::string, double>& aggregation_error() const { return aggregation_error_; }

  /// Begins the next round.
  void begin_round() {
    ++round_;
    running_ = true;
    average_ = {};
    updates_.clear();
    answered_.clear();
  }

  /// The message for a client: the state, and the merges that it slept through. Throws Error for a second one of a round
  /// to the same client, and before the first round.
  Message broadcast(Index client) {
    require<Error>(running_, "server: expected begin_round() before broadcast()");
    require<Error>(answered_.emplace(client, false).second, "server: client ", client,
                   " was sent its broadcast of round ", round_, " already");
    io::Archive archive("broadcast");
    detail::put_head(archive, "broadcast", {seed_, round_, client});
    archive.metadata()["merges"] = std::to_string(merges());
    if (algorithm_.mixed_ranks || resizes_) {
      detail::put_ranks(archive, "ranks", ranks(client));
      detail::put_ranks(archive, "layer_ranks", lowrank::ranks(model_));
    }
    if (codecs_.uplink != Code::none) {
      archive.metadata()["uplink"] = to_string(codecs_.uplink);
      archive.metadata()["keep"] = to_text(codecs_.keep);
      archive.metadata()["factors"] = std::to_string(factors_since_);
    }
    put_broadcast(archive, client);
    downlink_.encode(archive, coded_tensors(model_), round_, client);
    history_.catch_up(client, model_, archive);
    return io::serialise(archive);
  }

  /// Folds one update in. Throws DataError if it is malformed or nobody's of this round that is still to answer,
  /// DivergedError if a value is not finite; the round goes on without it.
  void receive(Message&& message) {
    Update update = read_update(std::move(message));
    const Index client = update.head.client;
    require<DataError>(update.head.seed == seed_, "server: update of client ", client, ": expected seed ",
                       seed_, ", got ", update.head.seed);
    require<DataError>(update.head.round == round_, "server: update of client ", client, ": expected round ",
                       round_, ", got ", update.head.round);
    const auto answered = answered_.find(client);
    require<DataError>(answered != answered_.end() && !answered->second, "server: update of client ", client,
                       ": expected a client of the cohort that has not answered yet");
    if (codecs_.uplink != Code::none) update.state = decode_update<T>(update.state, received(client));
    check_state(update);
    if (resizes_) resize_factors(update.state, model_, lowrank::ranks(model_));
    average_.add(update, averaged());
    if (algorithm_.keeps_updates || measures_) updates_.push_back(std::move(update));
    answered->second = true;
  }

  /// The new global state from what was received. Returns the cohort's mean training loss by samples. Throws
  /// Error if nothing was received, DivergedError if a mean is not finite, and then keeps the state it had.
  double finish_round() {
    Average<T> average = std::exchange(average_, {});
    const io::Archive mean = average.result();
    const std::vector<Update> updates = std::exchange(updates_, {});
    moments_ = io::Archive("memory");
    const io::Archive next = optimized(mean);
    const Cohort cohort{next, updates, average.samples(), mean};
    std::optional<AggregationError<T, D>> error;
    if (measures_) error.emplace(model_, cohort, trained());
    or_restore([&] {
      algorithm_.fold(*this, cohort);
      if (measures_) aggregation_error_ = (*error)(model_);
      for (const auto& [name, moment] : moments_.tensors()) memory_.put_raw(name, moment);
      algorithm_.after_round(*this);
    });
    if (algorithm_.renews_factors) factors_renewed();
    for (const auto& [client, answered] : answered_)
      if (answered) downlink_.known(client, round_);
    return average.loss();
  }

  /// Means of trained parameters, moved to where the server's optimizer goes from the model's. For folds that average themselves.
  io::Archive optimized(io::Archive mean) {
    if (!optimizer_.plain()) optimize(optimizer_, model_, mean, memory_, moments_);
    return mean;
  }

  /// Whether the optimizer takes every mean as it is.
  bool takes_means() const { return optimizer_.plain(); }

  /// The same for anything else that has a mean, both on the host and of one layout; `name` is that of its moments.
  Tensor<T> optimized(const std::string& name, const Tensor<T>& x, const Tensor<T>& mean) {
    return takes_means() ? mean : optimize(optimizer_, name, x, clone(mean), memory_, moments_);
  }

  /// W ← W + s·B·A in every factored layer, remembered for clients that sleep through it. The server optimizer's
  /// moments of factors that start anew start anew too.
  void merge(lowrank::MergeKind kind) {
    merge(lowrank::products(model_));
    if (kind != lowrank::MergeKind::reinit) return;
    lowrank::restart_factors(model_,
                             rng::Stream(seed_, rng::Purpose::merge, static_cast<std::uint32_t>(round_)));
    forget_factors(memory_);
    factors_renewed();
  }

  /// W ← W + s·B·A in every factored layer with factors of any rank, remembered likewise; the model's own factors stay.
  void merge(const lowrank::Products<T, D>& products) {
    history_.record(model_, products);
    lowrank::merge_products(model_, products);
  }

  /// W ← W + the layer's update, of W's shape and layout and on the host: clients that lack it are sent W.
  void merge(const std::map<std::string, Tensor<T>>& updates) {
    history_.record_whole();
    lowrank::for_each_weight<nn::Factored>(model_, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      Tensor<T, D> w = clone(weight.base().value());
      add_scaled(w, T(1), to_device<D>(updates.at(layer)));
      weight.base().set_value(w);
    });
  }

 private:
  using Shapes = std::vector<nn::Named<Shape>>;

  /// The state for a client, before it is coded.
  void put_broadcast(io::Archive& archive, Index client) {
    algorithm_.broadcast(*this, archive, client);
    if (resizes_) resize_factors(archive, model_, ranks(client));
  }

  /// What the client made of the state that it was sent in this round.
  io::Archive received(Index client) {
    io::Archive archive("broadcast");
    put_broadcast(archive, client);
    downlink_.receive(archive, coded_tensors(model_), round_);
    return archive;
  }

  /// Does what ends a round, or undoes it if it fails or leaves a parameter that is not finite.
  template <class F>
  void or_restore(F end_round) {
    nn::Model<T, D> model = model_;
    MergeHistory<T, D> history = history_;
    io::Archive memory = memory_;
    try {
      end_round();
      for (const auto& p : model_.parameters())
        require<DivergedError>(all_finite(p.value.value()), "round ", round_, ": ", p.name,
                               " is not finite after the cohort was folded");
    } catch (...) {
      model_ = std::move(model);
      history_ = std::move(history);
      memory_ = std::move(memory);
      throw;
    }
  }

  /// From the next round on the factors have nothing to do with those of before.
  void factors_renewed() {
    factors_since_ = round_;
    downlink_.forget_factors();
  }

  /// The state of a client of these ranks; none: the model's.
  const Shapes& shapes(const std::vector<Index>& ranks) {
    const auto [entry, missing] = shapes_.try_emplace(ranks);
    if (!missing) return entry->second;
    nn::Model<T, D> replica = model_;
    if (!ranks.empty()) algorithm_.shape(replica, ranks);
    for (const auto& [name, tensor, role] : replica.state()) entry->second.push_back({name, tensor.shape()});
    return entry->second;
  }

  /// What has a mean: all that is sent, but not the factors where ranks may differ.
  Selection averaged() {
    if (!algorithm_.mixed_ranks) return {};
    if (!shared_) {
      shared_.emplace();
      for (const auto& [name, tensor, role] : model_.state())
        if (not_factor(name)) shared_->insert(name);
    }
    return [this](const std::string& name) { return shared_->contains(name); };
  }

  /// The ranks that the client pruned itself to, below those that it was sent.
  std::vector<Index> pruned(const Update& update, std::vector<Index> ranks) {
    auto rank = ranks.begin();
    lowrank::for_each_weight<nn::Factored>(model_, [&](const std::string& layer, auto&) {
      const Shape& a = update.state.raw(layer + ".lora_A.weight").shape;
      if (a.rank() > 0 && a[0] >= 1) *rank = std::min(*rank, a[0]);
      ++rank;
    });
    return ranks;
  }

  /// Throws DataError unless the update has the tensors of the client's state.
  void check_state(const Update& update) {
    std::vector<Index> own;
    if (algorithm_.mixed_ranks || resizes_) own = ranks(update.head.client);
    if (algorithm_.prunes) own = pruned(update, std::move(own));
    const Shapes& whole = shapes(own);
    Shapes state = whole;
    const Selection selection = sent();
    std::erase_if(state, [&](const auto& entry) { return !chosen(selection, entry.name); });
    if (algorithm_.controls)
      for (const auto& p : model_.trained_parameters())
        if (chosen(trained(), p.name)) {
          const auto entry = std::ranges::find(whole, p.name, &nn::Named<Shape>::name);
          state.push_back({control_name(p.name), entry->value});
        }
    require<DataError>(update.state.size() == state.size(), "server: update of client ", update.head.client,
                       ": expected ", state.size(), " tensors, got ", update.state.size());
    for (const auto& [name, shape, role] : state) {
      const io::RawTensor& raw = update.state.raw(name);
      require<DataError>(raw.dtype == io::dtype_of<T> && raw.shape == shape, "server: update of client ",
                         update.head.client, ": ", name, ": expected ", io::to_string(io::dtype_of<T>), ' ',
                         shape, ", got ", io::to_string(raw.dtype), ' ', raw.shape);
    }
  }

  nn::Model<T, D> model_;
  AnyAlgorithm<T, D> algorithm_;
  std::uint64_t seed_;
  Index clients_, round_;
  bool running_ = false;  // whether a round has begun
  io::Archive memory_{"memory"},
      moments_{"memory"};  // of the optimizer: those of a round that has not been finished
  ServerOptimizer optimizer_;
  ClientRanks client_ranks_;
  bool resizes_ = false;
  Codecs codecs_;
  Downlink<T> downlink_;
  Index factors_since_;                            // the round at whose end they last started anew
  std::map<Index, std::vector<Index>> own_ranks_;  // of clients that changed theirs
  std::map<std::vector<Index>, Shapes> shapes_;    // of clients, by their ranks
  std::optional<std::set<std::string>> shared_;    // of the state: what does not depend on ranks
  std::map<Index, bool> answered_;                 // the clients of this round
  Average<T> average_;
  std::vector<Update> updates_;  // of this round, if they are kept
  bool measures_ = false;
  std::map<std::string, double> aggregation_error_;
  MergeHistory<T, D> history_;
};

/// A client's whole turn: a broadcast and local data in, an update message out. `model` is the client's own; it must
/// have been built and factorised as the server's was, from the same seed, and stays with the client between rounds.
/// Off the host keep a DeviceData, or each turn uploads the data set again. `state` is what the client keeps between turns, empty
/// before its first; it is that of after the turn, to be kept if the round succeeds. Throws DataError for a malformed
/// message and for state of another model, DivergedError if the loss is not finite; the state may then be half changed.
template <class T, class D>
Message answer(nn::Model<T, D>& model, std::span<const std::byte> broadcast,
               const std::type_identity_t<AnyAlgorithm<T, D>>& algorithm,
               const std::type_identity_t<DeviceData<D>>& dataset, std::span<const Index> samples,
               const ClientOptions& options, io::Archive& state,
               const std::type_identity_t<train::Task<T, D>>& task = train::Classification{}) {
  const io::Archive archive =
      decode_broadcast<T>(io::borrow(broadcast, "broadcast"), coded_tensors(model), state);
  algorithm.begin_turn(model, archive);
  apply_missed_merges(archive, model);  // last: a malformed message leaves the frozen weights alone
  return algorithm.take_turn(model, archive, dataset, samples, options, state, task);
}

/// The same for algorithms whose clients keep nothing. Throws ConfigError for one whose clients do.
template <class T, class D>
Message answer(nn::Model<T, D>& model, std::span<const std::byte> broadcast,
               const std::type_identity_t<AnyAlgorithm<T, D>>& algorithm,
               const std::type_identity_t<DeviceData<D>>& dataset, std::span<const Index> samples,
               const ClientOptions& options,
               const std::type_identity_t<train::Task<T, D>>& task = train::Classification{}) {
  io::Archive state("state");
  Message message = answer(model, broadcast, algorithm, dataset, samples, options, state, task);
  require<ConfigError>(state.size() == 0, algorithm.name,
                       ": expected the client's state, which it keeps between turns, got none");
  return message;
}

#ifdef LORU_COMPILED
extern template class Server<float>;
#endif

}  // namespace loru::fl
