#pragma once
// Any algorithm behind one type: its hooks, or their defaults, as functions.

#include <functional>
#include <string>

#include <loru/fl/algorithm.hpp>
#include <loru/fl/message/uplink.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/lowrank/resize.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

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

/// Any algorithm, with its hooks bound for scalar T on device D.
template <class T, class D = Cpu>
struct AnyAlgorithm {
  std::string name;
  bool low_rank = false, keeps_updates = false, mixed_ranks = false, prunes = false, controls = false,
       evaluates_mean = false, renews_factors = false, keeps_weights = true;
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
    if constexpr (requires { A::renews_factors; }) renews_factors = A::renews_factors;
    if constexpr (requires { A::keeps_weights; }) keeps_weights = A::keeps_weights;
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
    if (broadcast.metadata().contains("ranks")) shape(model, detail::get_ranks(broadcast, "ranks"));
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
                    std::span<const Index> samples, const ClientOptions& options, io::Archive& state,
                    const train::Task<T, D>& task = train::classification<T, D>()) const {
    const Head head = detail::get_head(message, "broadcast");
    io::Archive more("update");
    const Turn<T, D> turn{model, dataset, samples, options, head, state, message, more, task};
    OwnTensors<T, D> own(turn, personal);
    double loss = 0.0;
    {
      const TrainOnly<T, D> guard(model, trained(head.round));
      loss = train(turn);
    }
    own.keep();
    io::Archive update =
        update_archive(model, head, static_cast<Index>(samples.size()), loss, sent(head.round), more);
    encode_update<T>(update, message, head, coded_tensors(model), state);
    return io::serialise(update);
  }
};

}  // namespace loru::fl
