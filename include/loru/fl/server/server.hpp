#pragma once
// The server of a federation: messages in, messages out, and the global model between them.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <loru/fl/any_algorithm.hpp>
#include <loru/fl/message/uplink.hpp>
#include <loru/fl/server/aggregate.hpp>
#include <loru/fl/server/aggregation_error.hpp>
#include <loru/fl/server/best_factors.hpp>
#include <loru/fl/server/broadcasts.hpp>
#include <loru/fl/server/client_ranks.hpp>
#include <loru/fl/server/exact_sum.hpp>
#include <loru/fl/server/expected.hpp>
#include <loru/fl/server/limits.hpp>
#include <loru/fl/server/mean_of_own.hpp>
#include <loru/fl/server/merge_history.hpp>
#include <loru/fl/server/merge_schedule.hpp>
#include <loru/fl/server/server_optimizer.hpp>
#include <loru/fl/server/terms.hpp>

namespace loru::inline LORU_ISA::fl {

/// Options of a server, besides the model and the algorithm.
struct ServerOptions {
  ClientRanks ranks{};          ///< of the clients, where they have ranks of their own
  Index clients = 0;            ///< of the federation, at most 2^32 − 1; 0: not known
  ServerOptimizer optimizer{};  ///< the step from the mean to the new state
  Codecs codecs{};              ///< of the messages
  UpdateLimits limits{};        ///< of what clients send
  /// The most samples that a client may say it has.
  Index max_samples = ExactSums<float>::most_count;
  Index rounds_before = 0;  ///< rounds of a warm-up; the count goes on from there
  /// Whether clients know the first frozen weights, which come from the seed; otherwise each is sent them
  /// once.
  bool weights_known = true;
};

/// Holds the global model and does what the algorithm says. Used by Simulation, and directly by programs that
/// move the messages themselves. A round: begin_round(), broadcast(client) for each client of the cohort,
/// receive(update) for each answer, then finish_round(). The mean does not depend on the order of the
/// answers; folds that keep them see them in it. A broadcast that did not arrive is lost(client). Messages
/// and means are the host's, the model is on device D. Not thread-safe.
template <class T, class D>
class Server {
 public:
  /// Throws ConfigError if the algorithm needs layers parametrised by factors and the model has none, if
  /// clients have ranks of their own and the layers are not W + s·B·A or the downlink is coded by top_k, if
  /// the budgets are not one a client, and for options out of range.
  Server(nn::Model<T, D> model, AnyAlgorithm<T, D> algorithm, std::uint64_t seed, ServerOptions options = {});
  Server(const Server&);
  Server(Server&&) noexcept;
  Server& operator=(const Server&);
  Server& operator=(Server&&) noexcept;
  ~Server();

  nn::Model<T, D>& model() { return model_; }
  const AnyAlgorithm<T, D>& algorithm() const { return algorithm_; }
  /// The round that is running, or has just been finished, from 1.
  Index round() const { return round_; }
  Index merges() const { return history_.merges(); }
  /// The factors of the last merge by layer, on the host; none where W was changed otherwise.
  const lowrank::Products<T>& last_merge() const { return history_.last(); }
  std::uint64_t seed() const { return seed_; }
  Index clients() const { return clients_; }
  /// The client's ranks in the factored layers, in the model's order.
  std::vector<Index> ranks(Index client);
  /// Sets the client's ranks from now on. If the round fails, the old ones stay.
  void set_ranks(Index client, std::vector<Index> ranks);
  /// Whether clients have ranks of their own and the algorithm has no rule for them. The server then resizes
  /// factors to those ranks and back (resize_factors).
  bool resizes() const { return resizes_; }
  /// The model, at the client's ranks if the server resizes.
  nn::Model<T, D> client_model(Index client);
  /// The tensors that the clients of this round train, and those of them that they send.
  Selection trained() const { return algorithm_.trained(round_); }
  Selection sent() const { return algorithm_.sent(round_); }
  /// The server's memory: what the algorithm itself keeps from round to round. Change it last in a fold, so
  /// that a round that fails leaves it unchanged.
  io::Archive& memory() { return memory_; }

  /// Whether finish_round() measures the aggregation error; the updates of a round are then kept.
  void measure_aggregation(bool wanted) { measures_ = wanted; }
  /// Of the last round, by layer; empty unless it is measured.
  const std::map<std::string, double>& aggregation_error() const { return aggregation_error_; }

  /// Adds all that the server's future depends on: model with W, memory, merges and who knows them, copies of
  /// coded states, ranks that clients changed, and numbers; random streams have no state. Between rounds
  /// only. The archive shares the tensors: write it before the next round.
  void save(io::Archive& archive);

  /// Goes on where save() was called, in a server made as that one was. Throws DataError for an archive of
  /// another federation or model or with values out of range, and changes nothing then.
  void restore(const io::Archive& archive);

  /// Begins the next round. What the last one received and has not folded is dropped.
  void begin_round();

  /// The updates that the round received and has not folded yet.
  Index received() const { return average_.updates(); }

  /// Gives them up: a round with too few of them is to change nothing.
  void drop_updates();

  /// The message for a client: the state, and the merges that it missed. Throws Error for a second message to
  /// the same client in one round, before the first round, and for a client that the federation does not
  /// have: its numbers are 0 .. clients − 1, or up to 2^32 − 2 where clients are not known.
  Message broadcast(Index client);

  /// The same before serialisation. Clients that are sent the same share it; it is made once a round.
  io::Archive offer(Index client);

  /// The message for a client that has the server's frozen weights, and so no need of merges: what clients
  /// that are sent the same share, made once a round. Its head has the number 0 in place of the client's.
  Bytes shared_broadcast(Index client);

  /// The client's broadcast of this round did not arrive. Its next one, which may be of this round, holds the
  /// same merges again, and no answer is awaited. If neither an answer nor lost() nor arrived() reports the
  /// fate of a broadcast, the client's next one is larger: it holds the weights that merges changed. Throws
  /// Error if there is no broadcast that may be lost.
  void lost(Index client);

  /// The client's broadcast of this round arrived, whether an answer comes or not. Throws Error if there was
  /// none.
  void arrived(Index client);

  /// Folds one update into the mean. `from` is the client that it came from, where the caller knows;
  /// otherwise the message says. Throws DataError if it is malformed, larger than any of this model, not from
  /// a client of this round that has yet to answer, after the end of the round, or has more samples than
  /// max_samples; DivergedError if a value is not finite or beyond the limits. Nothing has changed then, and
  /// the round goes on without it. A DataError of what follows the head begins "server: update of client
  /// <client>: ".
  void receive(Message&& message, std::optional<Index> from = {});

  /// The new global state from what was received, and the end of the round: no broadcast is made and no
  /// update taken before the next begin_round(). Returns the cohort's mean training loss by samples. Throws
  /// Error if nothing was received, and the round goes on; DivergedError if a parameter is not finite, and
  /// keeps the state it had.
  double finish_round();

  /// The values to which the server's optimizer moves the model's trained parameters, given their means. For
  /// folds that average themselves.
  io::Archive optimized(io::Archive mean);

  /// Whether the optimizer takes every mean as it is.
  bool takes_means() const { return optimizer_.plain(); }

  /// The same for any other value and its mean, both on the host and of one layout. `name` is the name of its
  /// moments.
  Tensor<T> optimized(const std::string& name, const Tensor<T>& x, const Tensor<T>& mean);

  /// W ← W + s·B·A in every factored layer, recorded for clients that miss it. Where factors start anew, so
  /// do their moments in the server's optimizer.
  void merge(lowrank::MergeKind kind);

  /// W ← W + s·B·A in every factored layer with factors of any rank, recorded likewise. The model's own
  /// factors stay.
  void merge(const lowrank::Products<T, D>& products);

  /// W ← W + the layer's update, of W's shape and layout and on the host: clients that lack it are sent W.
  void merge(const std::map<std::string, Tensor<T>>& updates);

  /// For folds: from the next round on the factors are unrelated to the former ones, and codecs drop what
  /// they keep of those.
  void renew_factors() { renewed_ = true; }

 private:
  void check_model();

  /// The broadcast for clients of these ranks, before it is coded and without merges.
  io::Archive plain(const std::vector<Index>& ranks);

  void require_running(const char* what) const;
  void require_unanswered(Index client) const;
  /// receive() of what came from the client, once its head is read; errors are without the client's name.
  void take(Update&& update, Index client);

  /// Runs the end of a round, and undoes it if it fails or leaves a parameter that is not finite. What is
  /// kept for that does not grow with the clients.
  template <class F>
  void or_restore(F end_round) {
    nn::Model<T, D> model = model_;
    auto merges = history_.done();
    io::Archive memory = memory_;
    auto errors = aggregation_error_;
    ranks_before_.clear();
    try {
      end_round();
      require_finite();
    } catch (...) {
      model_ = std::move(model);
      history_.restore(std::move(merges));
      memory_ = std::move(memory);
      aggregation_error_ = std::move(errors);
      restore_ranks();
      throw;
    }
  }

  /// Throws DivergedError for a parameter that is not finite.
  void require_finite() {
    const auto parameters = model_.parameters();
    std::vector<const Tensor<T, D>*> values;
    for (const auto& p : parameters)
      if (!p.value.blocks()) values.push_back(&p.value.value());
    if constexpr (requires { first_not_finite(values); })
      if (first_not_finite(values) == std::ssize(values)) return;  // a device that looks at all at once
    for (const auto& p : parameters)
      require<DivergedError>(p.value.blocks() || all_finite(p.value.value()), "round ", round_, ": ", p.name,
                             " is not finite after the cohort was folded");
  }

  void restore_ranks();

  /// The tensors that are averaged by samples: all of the state that are sent, but not the factors where
  /// shapes may differ.
  typename Average<T>::Names averaged();
  /// What goes up besides the state.
  typename Average<T>::Names besides();

  nn::Model<T, D> model_;
  AnyAlgorithm<T, D> algorithm_;
  std::uint64_t seed_;
  Index clients_, round_;
  bool running_ = false;  // whether a round has begun and not ended
  io::Archive memory_{"memory"},
      moments_{"memory"};  // of the optimizer: those of a round that has not been finished
  ServerOptimizer optimizer_;
  ClientRanks client_ranks_;
  bool resizes_ = false, renewed_ = false;
  Codecs codecs_;
  UpdateLimits limits_;
  Index max_samples_;
  Index factors_since_;                            // the round at whose end they last started anew
  std::map<Index, std::vector<Index>> own_ranks_;  // of clients that changed theirs
  /// What own_ranks_ had, or had not, for clients that have changed theirs since the last round.
  std::map<Index, std::optional<std::vector<Index>>> ranks_before_;
  std::optional<std::set<std::string>> shared_;   // of the state: what does not depend on ranks
  std::map<Index, bool> answered_;                // the clients of this round
  std::optional<std::set<std::string>> besides_;  // names of what goes up besides the state
  Average<T> average_, extra_;
  std::vector<Update> updates_;  // of this round, if they are kept
  bool measures_ = false;
  std::map<std::string, double> aggregation_error_;
  MergeHistory<T, D> history_;
  Broadcasts<T, D> broadcasts_;
  ExpectedUpdates<T, D> expected_;
};

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_SERVER(TEMPLATE, T) TEMPLATE class Server<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_SERVER(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl

#include <loru/fl/server/checkpoint.hpp>
#include <loru/fl/server/server_members.hpp>
