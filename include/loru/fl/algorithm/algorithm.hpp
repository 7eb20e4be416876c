#pragma once
// What a federated algorithm is: an aggregate of its options with a few hooks. The loop is written once, in Server and
// Simulation; a hook that an algorithm leaves out has the default given here.

#include <array>
#include <concepts>
#include <functional>
#include <limits>
#include <string>
#include <string_view>

#include <loru/fl/client.hpp>

namespace loru::fl {

template <class T>
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

/// An aggregate with `name`, `low_rank` (whether it needs factored layers) and `fields()`, a tuple of Field and
/// Choice from which configuration keys, errors and docs are made. Optional hooks, in the order of a round:
///   void broadcast(Server<T>&, io::Archive&, Index client) const   what goes down, a pure function of the
///                                                                   server's state and the client; default: the state
///   double train(const Turn<T>&) const                             how a client trains; default: fl::train
///   void fold(Server<T>&, const io::Archive& mean) const           what the mean becomes; default: the state
///   void after_round(Server<T>&) const                             default: nothing
/// A hook of another signature does not compile.
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

/// For the question whether A has a member of a hook's name: with this beside A, it is ambiguous.
struct HookNames {
  void broadcast();
  void train();
  void fold();
  void after_round();
};
template <class A>
struct BesideHooks : A, HookNames {};

}  // namespace detail

/// Throws ConfigError for an option outside its range.
template <Algorithm A>
void check(const A& algorithm) {
  std::apply([&](const auto&... field) { (detail::check_field(algorithm, field), ...); }, A::fields());
}

/// Any algorithm, with its hooks bound.
template <class T>
struct AnyAlgorithm {
  std::string name;
  bool low_rank = false;
  std::function<void(Server<T>&, io::Archive&, Index)> broadcast;
  std::function<double(const Turn<T>&)> train;
  std::function<void(Server<T>&, const io::Archive&)> fold;
  std::function<void(Server<T>&)> after_round;

  /// Throws ConfigError for an option outside its range.
  template <Algorithm A>
  AnyAlgorithm(const A& a) : name{A::name}, low_rank{A::low_rank} {
    check(a);
    using Beside = detail::BesideHooks<A>;
    if constexpr (requires { &Beside::broadcast; })
      broadcast = [](Server<T>& server, io::Archive& archive, Index) { put_state(archive, server.model()); };
    else
      broadcast = [a](Server<T>& server, io::Archive& archive, Index client) {
        a.broadcast(server, archive, client);
      };
    if constexpr (requires { &Beside::train; })
      train = &fl::train<T>;
    else
      train = [a](const Turn<T>& turn) -> double { return a.train(turn); };
    if constexpr (requires { &Beside::fold; })
      fold = [](Server<T>& server, const io::Archive& mean) { get_state(mean, server.model()); };
    else
      fold = [a](Server<T>& server, const io::Archive& mean) { a.fold(server, mean); };
    if constexpr (requires { &Beside::after_round; })
      after_round = [](Server<T>&) {};
    else
      after_round = [a](Server<T>& server) { a.after_round(server); };
  }
};

}  // namespace loru::fl
