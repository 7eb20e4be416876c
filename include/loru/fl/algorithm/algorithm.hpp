#pragma once
// What a federated algorithm is: an aggregate of its options with a few hooks. The loop is written once, in Server and
// Simulation; a hook that an algorithm leaves out has the default given here.

#include <array>
#include <concepts>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include <loru/fl/own_tensors.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/resize.hpp>

namespace loru::fl {

template <class T, class D = Cpu>
class Server;

/// A numeric option of algorithm A: its configuration key, member, range and one line of explanation.
template <class A, class V>
struct Field {
  using Member = V A::*;
  const char* name;
  Member member;
  V least, most;
  const char* text;
};

/// An option that is one of a few words.
template <class A, class V, std::size_t N>
struct Choice {
  using Member = V A::*;
  const char* name;
  Member member;
  std::array<std::pair<const char*, V>, N> words;
  const char* text;
};

/// An option that is a list of rounds in increasing order.
template <class A>
struct Rounds {
  using Member = std::vector<Index> A::*;
  const char* name;
  Member member;
  const char* text;
};

/// The option `layers` of an algorithm that is at home in both: whether its layers are dense or W + s·B·A.
template <class A>
constexpr auto layers_choice() {
  return Choice<A, bool, 2>{// spelt out for nvcc
                            "layers",
                            &A::low_rank,
                            {{{"dense", false}, {"low_rank", true}}},
                            "parametrisation of the layers"};
}

/// What a cohort has sent: the mean of its updates by samples, moved by the server's optimizer, and, for an algorithm with
/// `keeps_updates`, the updates themselves in the order of the cohort.
struct Cohort {
  const io::Archive& mean;
  std::span<const Update> updates;
  Index samples;                ///< of all updates
  const io::Archive& averaged;  ///< the mean as it was averaged
};

/// An aggregate with `name`, `low_rank` (whether it needs layers parametrised by factors) and `fields()`, a tuple of Field,
/// Choice and Rounds from which configuration keys, errors and docs are made; with `keeps_updates = true` the updates of a round are
/// kept for fold; with `mixed_ranks = true` clients may have ranks of their own, and the mean leaves out what depends on
/// them, the factors; with `prunes = true` too, a client may answer with less than its ranks; with `controls = true` a client
/// also sends `control.<parameter>` for each parameter that it trains (Turn::more); with `evaluates_mean = true` the global
/// model is evaluated with the mean of the tensors that clients keep. `low_rank` may be a member that an option sets. Optional
/// hooks of a model, before the first round:
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

namespace detail {

template <class A, class V>
void check_field(const A& a, const Field<A, V>& field) {
  const V value = a.*(field.member);
  const std::string bound = field.most == std::numeric_limits<V>::max() ? "" : concat(" .. ", field.most);
  require<ConfigError>(value >= field.least && value <= field.most, A::name, ": ", field.name, ": expected ",
                       bound.empty() ? "at least " : "", field.least, bound, ", got ", value);
}

template <class A, class V, std::size_t N>
void check_field(const A&, const Choice<A, V, N>&) {}

/// Throws ConfigError unless the rounds are from 1 and each is after the one before it.
inline void check_rounds(const std::string& where, const std::vector<Index>& rounds) {
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    require<ConfigError>(rounds[i] >= 1, where, "expected rounds from 1, got ", rounds[i]);
    require<ConfigError>(i == 0 || rounds[i - 1] < rounds[i], where,
                         "expected rounds in increasing order, got ", rounds[i - 1], " before ", rounds[i]);
  }
}

template <class A>
void check_field(const A& a, const Rounds<A>& field) {
  check_rounds(concat(A::name, ": ", field.name, ": "), a.*(field.member));
}

/// For the question whether A has a member of a hook's name: with this beside A, it is ambiguous.
struct HookNames {
  void parametrise();
  void suits();
  void sends();
  void broadcast();
  void shape();
  void load();
  void trains();
  void personal();
  void train();
  void fold();
  void after_round();
  void personalise();
};
template <class A>
struct BesideHooks : A, HookNames {};

}  // namespace detail

/// Throws ConfigError for an option outside its range.
template <Algorithm A>
void check(const A& algorithm) {
  std::apply([&](const auto&... field) { (detail::check_field(algorithm, field), ...); }, A::fields());
}

/// Any algorithm, with its hooks bound for scalar T on device D.
template <class T, class D = Cpu>
struct AnyAlgorithm {
  std::string name;
  bool low_rank = false, keeps_updates = false, mixed_ranks = false, prunes = false, controls = false,
       evaluates_mean = false;
  bool personalises_new = false;  ///< whether personalise does something for clients without state
  std::function<std::vector<std::string>(nn::Model<T, D>&, const lowrank::FactorizeOptions&)> parametrise;
  std::function<bool(nn::Weight<T, D>&)> suits;
  Selection sends;  ///< empty: everything
  std::function<void(Server<T, D>&, io::Archive&, Index)> broadcast;
  std::function<void(nn::Model<T, D>&, std::span<const Index>)> shape;
  std::function<void(nn::Model<T, D>&, const io::Archive&)> load;
  std::function<bool(const std::string&, Index)> trains;  ///< empty: everything
  Selection personal;                                     ///< empty: nothing
  std::function<double(const Turn<T, D>&)> train;
  std::function<void(Server<T, D>&, const Cohort&)> fold;
  std::function<void(Server<T, D>&)> after_round;
  std::function<void(const Turn<T, D>&)> personalise;

  /// Throws ConfigError for an option outside its range.
  template <Algorithm A>
  AnyAlgorithm(const A& a) : name{A::name}, low_rank{a.low_rank} {
    check(a);
    using Beside = detail::BesideHooks<A>;
    if constexpr (requires { A::keeps_updates; }) keeps_updates = A::keeps_updates;
    if constexpr (requires { A::mixed_ranks; }) mixed_ranks = A::mixed_ranks;
    if constexpr (requires { A::controls; }) controls = A::controls;
    if constexpr (requires { A::evaluates_mean; }) evaluates_mean = A::evaluates_mean;
    if constexpr (requires { A::prunes; }) prunes = A::prunes;
    if constexpr (requires { &Beside::parametrise; })
      parametrise = [low_rank = low_rank](nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) {
        return low_rank ? lowrank::factorize(model, o) : std::vector<std::string>{};
      };
    else
      parametrise = [a](nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) {
        return a.parametrise(model, o);
      };
    if constexpr (requires { &Beside::suits; })
      suits = [](nn::Weight<T, D>& weight) { return weight.template as<nn::Factored<T, D>>() != nullptr; };
    else
      suits = [a](nn::Weight<T, D>& weight) -> bool { return a.suits(weight); };
    if constexpr (!requires { &Beside::sends; })
      sends = [a](const std::string& tensor) -> bool { return a.sends(tensor); };
    if constexpr (!requires { &Beside::trains; })
      trains = [a](const std::string& tensor, Index round) -> bool { return a.trains(tensor, round); };
    if constexpr (!requires { &Beside::personal; })
      personal = [a](const std::string& tensor) -> bool { return a.personal(tensor); };
    if constexpr (requires { &Beside::broadcast; })
      broadcast = [sends = sends](Server<T, D>& server, io::Archive& archive, Index) {
        put_state(archive, server.model(), sends);
      };
    else
      broadcast = [a](Server<T, D>& server, io::Archive& archive, Index client) {
        a.broadcast(server, archive, client);
      };
    if constexpr (requires { &Beside::shape; })
      shape = [](nn::Model<T, D>& model, std::span<const Index> ranks) { lowrank::set_ranks(model, ranks); };
    else
      shape = [a](nn::Model<T, D>& model, std::span<const Index> ranks) { a.shape(model, ranks); };
    if constexpr (requires { &Beside::load; })
      load = [sends = sends](nn::Model<T, D>& model, const io::Archive& broadcast) {
        get_state(broadcast, model, sends);
      };
    else
      load = [a](nn::Model<T, D>& model, const io::Archive& broadcast) { a.load(model, broadcast); };
    if constexpr (requires { &Beside::train; })
      train = [](const Turn<T, D>& turn) { return fl::train(turn); };
    else
      train = [a](const Turn<T, D>& turn) -> double { return a.train(turn); };
    if constexpr (requires { &Beside::fold; })
      fold = [](Server<T, D>& server, const Cohort& cohort) {
        get_state(cohort.mean, server.model(), server.sent());
      };
    else
      fold = [a](Server<T, D>& server, const Cohort& cohort) { a.fold(server, cohort); };
    if constexpr (requires { &Beside::after_round; })
      after_round = [](Server<T, D>&) {};
    else
      after_round = [a](Server<T, D>& server) { a.after_round(server); };
    personalises_new = !requires { &Beside::personalise; };
    if constexpr (requires { &Beside::personalise; })
      personalise = [own = personal](const Turn<T, D>& turn) { get_own(turn, own); };
    else
      personalise = [a](const Turn<T, D>& turn) { a.personalise(turn); };
  }

  /// What clients train in a round.
  Selection trained(Index round) const {
    if (!trains) return {};
    return [trains = trains, round](const std::string& tensor) { return trains(tensor, round); };
  }

  /// Brings a client's model to the ranks and the state of a broadcast. Throws DataError.
  void begin_turn(nn::Model<T, D>& model, const io::Archive& broadcast) const {
    detail::get_head(broadcast, "broadcast");
    if (mixed_ranks) shape(model, detail::get_ranks(broadcast, "ranks"));
    load(model, broadcast);
  }

  /// What they send of it.
  Selection sent(Index round) const {
    if (!personal) return trained(round);
    return [all = trained(round), own = personal](const std::string& tensor) {
      return chosen(all, tensor) && !own(tensor);
    };
  }

  /// A client's turn once its model has the broadcast's state: trains what the round trains, and makes the update. `state`
  /// is the client's own, of its last turn and then of this one.
  Message take_turn(nn::Model<T, D>& model, const io::Archive& message, const DeviceData<D>& dataset,
                    std::span<const Index> samples, const ClientOptions& options, io::Archive& state) const {
    const Head head = detail::get_head(message, "broadcast");
    io::Archive more("update");
    const Turn<T, D> turn{model, dataset, samples, options, head, state, message, more};
    OwnTensors<T, D> own(turn, personal);
    double loss = 0.0;
    {
      const TrainOnly<T, D> guard(model, trained(head.round));
      loss = train(turn);
    }
    own.keep();
    return update_message(model, head, static_cast<Index>(samples.size()), loss, sent(head.round), more);
  }
};

}  // namespace loru::fl
