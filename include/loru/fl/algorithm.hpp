#pragma once
// What a federated algorithm is: an aggregate of its options with a few hooks. The loop is written once, in Server and
// Simulation; a hook that an algorithm leaves out has the default given here.

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>

#include <loru/core/fields.hpp>
#include <loru/fl/client/train.hpp>

namespace loru::inline LORU_ISA::fl {

template <class T, class D = Cpu>
class Server;

/// What a cohort has sent: the mean of its updates by samples, moved by the server's optimizer, and, for an algorithm with
/// `keeps_updates`, the updates themselves in the order of the cohort.
struct Cohort {
  const io::Archive& mean;
  std::span<const Update> updates;
  Index samples;                ///< of all updates
  const io::Archive& averaged;  ///< the mean as it was averaged
};

/// An aggregate with `name`, `low_rank` (whether it needs layers parametrised by factors) and `fields()`, a tuple of field(...)
/// from which configuration keys, errors and docs are made; with `keeps_updates = true` the updates of a round
/// are kept for fold; with `mixed_ranks = true` it has a rule of its own for clients of less than the server's ranks, and the
/// mean leaves out what depends on them, the factors (else such clients have the leading directions: resize_factors); with
/// `prunes = true` too, a client may answer with less than its ranks; with `controls = true` a client also sends
/// `control.<parameter>` for each parameter that it trains (Turn::more); with `evaluates_mean = true` the global model is
/// evaluated with the mean of the tensors that clients keep; with `renews_factors = true` the factors of a round have nothing to
/// do with those of the round before; with `keeps_weights = false` clients begin anew, whatever the dense weights were.
/// `low_rank` may be a member that an option sets. Optional hooks of a model, before the first round:
///   vector<string> parametrise(nn::Model<T, D>&, const lowrank::FactorizeOptions&) const   how a dense model gets such layers, and
///                                                                   their names; default: lowrank::factorize if low_rank
///   bool suits(nn::Weight<T, D>&) const                            whether a layer is one of them; default: W + s·B·A
/// Optional hooks, in the order of a round:
///   bool sends(const std::string& tensor) const                    which tensors of the state go down; default: all
///   void broadcast(Server<T, D>&, io::Archive&, Index client) const   what goes down, a pure function of the
///                                                                   server's state and the client; default: the state
///   void shape(nn::Model<T, D>&, std::span<const Index> ranks) const   brings a client's model to its ranks, with
///                                                                   mixed_ranks; default: lowrank::set_ranks
///   void load(nn::Model<T, D>&, const io::Archive&) const           what a client's model takes from a broadcast; default:
///                                                                   the state
///   bool trains(const std::string& tensor, Index round) const      which tensors of the state a client trains and sends
///                                                                   up; the others stand still; default: all
///   bool personal(const std::string& tensor) const                 which of those never leave the client, but live in its
///                                                                   state between turns; default: none
///   double train(const Turn<T>&) const                             how a client trains; default: fl::train
///   void fold(Server<T>&, const Cohort&) const                     what the updates become; default: the mean is the
///                                                                   state
///   void after_round(Server<T>&) const                             default: nothing
/// And for evaluation:
///   void personalise(const Turn<T>&) const                         makes the turn's copy of the global model the client's
///                                                                   own, also for clients without state; default: with
///                                                                   the tensors that it keeps
/// A hook of another signature does not compile. An algorithm that is to run on any device takes Server<T, D> and Turn<T, D>.
template <class A>
concept Algorithm = std::is_aggregate_v<A> && requires {
  { A::name } -> std::convertible_to<std::string_view>;
  { A::low_rank } -> std::convertible_to<bool>;
  A::fields();
};

/// Throws ConfigError for an option outside its range.
template <Algorithm A>
void check(const A& algorithm) {
  check_fields(algorithm, A::name);
}

}  // namespace loru::fl
