#pragma once
// The hooks that an algorithm may have, and the list in which it says which ones it has.

#include <concepts>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <loru/data/partition/common.hpp>
#include <loru/fl/message/state.hpp>
#include <loru/lowrank/factorize.hpp>

namespace loru::inline LORU_ISA::fl {

template <class T, class D = Cpu>
class Server;
template <class T, class D = Cpu>
struct Turn;
struct Cohort;
class ClientStore;

namespace detail {

/// Tells whether A has a member of a hook's name: in a class derived from A and this, such a name is
/// ambiguous.
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
  void also_sent();
  void kept_ranks();
  void expanded();
  void fold();
  void after_round();
  void evaluated();
  void personalise();
};
template <class A>
struct BesideHooks : A, HookNames {};

}  // namespace detail

/// The hooks in the order in which they are called. `absent<A>`: A has no member of the name. `fits<A, T,
/// D>`: it can be called with scalar T and device D, and has the right result type.
namespace hook {

/// vector<string> parametrise(nn::Model<T, D>&, const lowrank::FactorizeOptions&) const: how a dense model
/// gets the layers that the algorithm needs, before the first round, and their names. Default:
/// lowrank::factorize if low_rank.
struct parametrise {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::parametrise; };
  template <class A, class T, class D>
  static constexpr bool fits =
      requires(const A& a, nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) {
        { a.parametrise(model, o) } -> std::same_as<std::vector<std::string>>;
      };
};

/// bool suits(nn::Weight<T, D>&) const: whether a layer has the algorithm's parametrisation. Default: W +
/// s·B·A.
struct suits {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::suits; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, nn::Weight<T, D>& weight) {
    { a.suits(weight) } -> std::same_as<bool>;
  };
};

/// bool sends(const nn::TensorId&) const: which tensors of the state go down. Default: all.
struct sends {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::sends; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, const nn::TensorId& tensor) {
    { a.sends(tensor) } -> std::same_as<bool>;
  };
};

/// void broadcast(Server<T, D>&, io::Archive&, span<const Index> ranks) const: what goes down to clients of
/// these ranks, a pure function of the server's state and the ranks: clients of the same ranks are sent the
/// same. Default: the state.
struct broadcast {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::broadcast; };
  template <class A, class T, class D>
  static constexpr bool fits =
      requires(const A& a, Server<T, D>& server, io::Archive& archive, std::span<const Index> ranks) {
        { a.broadcast(server, archive, ranks) } -> std::same_as<void>;
      };
};

/// void shape(nn::Model<T, D>&, span<const Index> ranks) const: brings a client's model to its ranks.
/// Default: lowrank::set_ranks.
struct shape {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::shape; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, nn::Model<T, D>& model, std::span<const Index> ranks) {
    { a.shape(model, ranks) } -> std::same_as<void>;
  };
};

/// void load(nn::Model<T, D>&, const io::Archive& broadcast) const: what a client's model takes from a
/// broadcast. Default: the state.
struct load {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::load; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, nn::Model<T, D>& model, const io::Archive& broadcast) {
    { a.load(model, broadcast) } -> std::same_as<void>;
  };
};

/// bool trains(const nn::TensorId&, Index round) const: which tensors of the state a client trains and sends
/// up; the others are not changed. Default: all.
struct trains {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::trains; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, const nn::TensorId& tensor, Index round) {
    { a.trains(tensor, round) } -> std::same_as<bool>;
  };
};

/// bool personal(const nn::TensorId&) const: which of those never leave the client but stay in its state.
/// Default: none.
struct personal {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::personal; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, const nn::TensorId& tensor) {
    { a.personal(tensor) } -> std::same_as<bool>;
  };
};

/// double train(const Turn<T, D>&) const: how a client trains; returns its mean loss. Default: fl::train.
struct train {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::train; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, const Turn<T, D>& turn) {
    { a.train(turn) } -> std::same_as<double>;
  };
};

/// vector<nn::Named<Shape>> also_sent(nn::Model<T, D>&) const: names and shapes of what a client with this
/// model puts into Turn::extra, which goes up besides the state. Default: nothing.
struct also_sent {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::also_sent; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, nn::Model<T, D>& model) {
    { a.also_sent(model) } -> std::same_as<std::vector<nn::Named<Shape>>>;
  };
};

/// vector<Index> kept_ranks(nn::Model<T, D>&, const io::Archive& update, vector<Index> sent) const: the ranks
/// of an update, for algorithms whose clients may change their ranks; `sent` are the ranks that the client
/// was sent, `model` is the server's. Default: the ranks that were sent.
struct kept_ranks {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::kept_ranks; };
  template <class A, class T, class D>
  static constexpr bool fits =
      requires(const A& a, nn::Model<T, D>& model, const io::Archive& update, std::vector<Index> sent) {
        { a.kept_ranks(model, update, std::move(sent)) } -> std::same_as<std::vector<Index>>;
      };
};

/// io::Archive expanded(nn::Model<T, D>&, const io::Archive& update) const: what an update stands for, in
/// the shapes of the server's model; that is averaged. Throws DataError where it does not fit. Default: the
/// update as it came.
struct expanded {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::expanded; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, nn::Model<T, D>& model, const io::Archive& update) {
    { a.expanded(model, update) } -> std::same_as<io::Archive>;
  };
};

/// void fold(Server<T, D>&, const Cohort&) const: makes the new state from the updates. Default: their mean.
struct fold {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::fold; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, Server<T, D>& server, const Cohort& cohort) {
    { a.fold(server, cohort) } -> std::same_as<void>;
  };
};

/// void after_round(Server<T, D>&) const: runs at the end of a round. Default: nothing.
struct after_round {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::after_round; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, Server<T, D>& server) {
    { a.after_round(server) } -> std::same_as<void>;
  };
};

/// nn::Model<T, D> evaluated(nn::Model<T, D>& global, ClientStore&, const data::Partition&) const: the model
/// that is evaluated, for algorithms where it depends on client states. Default: the global model.
struct evaluated {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::evaluated; };
  template <class A, class T, class D>
  static constexpr bool fits =
      requires(const A& a, nn::Model<T, D>& global, ClientStore& states, const data::Partition& parts) {
        { a.evaluated(global, states, parts) } -> std::same_as<nn::Model<T, D>>;
      };
};

/// void personalise(const Turn<T, D>&) const: turns the copy of the global model into the client's personal
/// model, for evaluation; also for clients without state. Default: the copy gets the tensors of the client's
/// state.
struct personalise {
  template <class A>
  static constexpr bool absent = requires { &detail::BesideHooks<A>::personalise; };
  template <class A, class T, class D>
  static constexpr bool fits = requires(const A& a, const Turn<T, D>& turn) {
    { a.personalise(turn) } -> std::same_as<void>;
  };
};

}  // namespace hook

/// Properties that an algorithm may have, in the same list.
namespace trait {

/// It has a rule of its own for clients of lower ranks than the server's, and means leave out the factors,
/// whose shapes depend on the ranks, unless it has the hook `expanded`. Without it such clients get the
/// leading directions (resize_factors).
struct mixed_ranks {};
/// Its clients begin anew, whatever the dense weights were: no warm-up reaches them.
struct begins_anew {};
/// Its fold reads no updates: none are kept, whatever the size of the cohort.
struct sums_alone {};
/// Its clients lower their ranks themselves, and get those of before again where a round fails: a broadcast
/// may have ranks above those of a client's model, up to min(m, n).
struct ranks_return {};

}  // namespace trait

/// The list: `using hooks = Hooks<hook::train, hook::fold, trait::mixed_ranks>;`
template <class... Listed>
struct Hooks {
  template <class H>
  static constexpr bool has = (std::same_as<H, Listed> || ...);
};

namespace detail {

template <class A, class H>
inline constexpr bool lists = A::hooks::template has<H>;

/// Refuses an algorithm whose list and members differ in hook H.
template <class A, class T, class D, class H>
constexpr void check_hook() {
  constexpr bool there = !H::template absent<A>;
  static_assert(there || !lists<A, H>,
                "loru: the algorithm A lists the hook H but has no member of that name");
  static_assert(!there || lists<A, H>,
                "loru: the algorithm A has the hook H but its list `hooks` leaves it out");
  if constexpr (there && lists<A, H>)
    static_assert(H::template fits<A, T, D>,
                  "loru: the algorithm A has the hook H with another signature than fl/hooks.hpp asks for");
}

/// All hooks.
template <class A, class T, class D>
constexpr void check_hooks() {
  []<class... H>(Hooks<H...>) {
    (check_hook<A, T, D, H>(), ...);
  }(Hooks<hook::parametrise, hook::suits, hook::sends, hook::broadcast, hook::shape, hook::load, hook::trains,
          hook::personal, hook::train, hook::also_sent, hook::kept_ranks, hook::expanded, hook::fold,
          hook::after_round, hook::evaluated, hook::personalise>{});
}

}  // namespace detail

}  // namespace loru::inline LORU_ISA::fl
