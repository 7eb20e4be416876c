#pragma once
// Any algorithm behind one type: its hooks as functions.

#include <functional>
#include <string>

#include <loru/fl/algorithm.hpp>
#include <loru/lowrank/resize.hpp>

namespace loru::inline LORU_ISA::fl {

/// Any algorithm, with its hooks bound for scalar T on device D. Hooks on a model already have their
/// defaults. For the other hooks an empty function stands for the default, which the caller of the hook
/// implements.
template <class T, class D = Cpu>
struct AnyAlgorithm {
  std::string name;
  bool low_rank, mixed_ranks, begins_anew, sums_alone, ranks_return;
  std::function<std::vector<std::string>(nn::Model<T, D>&, const lowrank::FactorizeOptions&)> parametrise;
  std::function<bool(nn::Weight<T, D>&)> suits;
  std::function<void(nn::Model<T, D>&, std::span<const Index>)> shape;
  Selection sends, personal;
  std::function<bool(const nn::TensorId&, Index)> trains;
  std::function<void(Server<T, D>&, io::Archive&, std::span<const Index>)> broadcast;
  std::function<void(nn::Model<T, D>&, const io::Archive&)> load;
  std::function<double(const Turn<T, D>&)> train;
  std::function<std::vector<nn::Named<Shape>>(nn::Model<T, D>&)> also_sent;
  std::function<std::vector<Index>(nn::Model<T, D>&, const io::Archive&, std::vector<Index>)> kept_ranks;
  std::function<io::Archive(nn::Model<T, D>&, const io::Archive&)> expanded;
  std::function<void(Server<T, D>&, const Cohort&)> fold;
  std::function<void(Server<T, D>&)> after_round;
  std::function<nn::Model<T, D>(nn::Model<T, D>&, ClientStore&, const data::Partition&)> evaluated;
  std::function<void(const Turn<T, D>&)> personalise;

  /// Throws ConfigError for an option outside its range.
  template <Algorithm A>
  AnyAlgorithm(const A& a);
  AnyAlgorithm(const AnyAlgorithm&);
  AnyAlgorithm(AnyAlgorithm&&) noexcept;
  AnyAlgorithm& operator=(const AnyAlgorithm&);
  AnyAlgorithm& operator=(AnyAlgorithm&&) noexcept;
  ~AnyAlgorithm();

  /// The tensors that clients train in a round.
  Selection trained(Index round) const;

  /// Those of them that clients send.
  Selection sent(Index round) const;

 private:
  template <class H, class A, class Function, class Call>
  static void bind(const A& a, Function& function, Call call) {
    if constexpr (detail::lists<A, H>)
      function = [a, call](auto&&... x) -> decltype(auto) { return call(a, x...); };
  }
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
AnyAlgorithm<T, D>::AnyAlgorithm(const AnyAlgorithm&) = default;
template <class T, class D>
AnyAlgorithm<T, D>::AnyAlgorithm(AnyAlgorithm&&) noexcept = default;
template <class T, class D>
AnyAlgorithm<T, D>& AnyAlgorithm<T, D>::operator=(const AnyAlgorithm&) = default;
template <class T, class D>
AnyAlgorithm<T, D>& AnyAlgorithm<T, D>::operator=(AnyAlgorithm&&) noexcept = default;
template <class T, class D>
AnyAlgorithm<T, D>::~AnyAlgorithm() = default;

template <class T, class D>
Selection AnyAlgorithm<T, D>::trained(Index round) const {
  if (!trains) return {};
  return [trains = trains, round](const nn::TensorId& tensor) { return trains(tensor, round); };
}

template <class T, class D>
Selection AnyAlgorithm<T, D>::sent(Index round) const {
  if (!personal) return trained(round);
  return [all = trained(round), own = personal](const nn::TensorId& tensor) {
    return chosen(all, tensor) && !own(tensor);
  };
}

template <class T, class D>
template <Algorithm A>
AnyAlgorithm<T, D>::AnyAlgorithm(const A& a)
    : name{A::name},
      low_rank{a.low_rank},
      mixed_ranks{detail::lists<A, trait::mixed_ranks>},
      begins_anew{detail::lists<A, trait::begins_anew>},
      sums_alone{detail::lists<A, trait::sums_alone>},
      ranks_return{detail::lists<A, trait::ranks_return>},
      parametrise{[low_rank = low_rank](nn::Model<T, D>& model, const lowrank::FactorizeOptions& o) {
        return low_rank ? lowrank::factorize(model, o) : std::vector<std::string>{};
      }},
      suits{[](nn::Weight<T, D>& weight) { return weight.template as<nn::Factored<T, D>>() != nullptr; }},
      shape{[](nn::Model<T, D>& model, std::span<const Index> ranks) { lowrank::set_ranks(model, ranks); }} {
  check(a);
  detail::check_hooks<A, T, D>();
  bind<hook::parametrise>(a, parametrise, [](auto& own, auto&&... x) { return own.parametrise(x...); });
  bind<hook::suits>(a, suits, [](auto& own, auto&&... x) { return own.suits(x...); });
  bind<hook::sends>(a, sends, [](auto& own, auto&&... x) { return own.sends(x...); });
  bind<hook::broadcast>(a, broadcast, [](auto& own, auto&&... x) { own.broadcast(x...); });
  bind<hook::shape>(a, shape, [](auto& own, auto&&... x) { own.shape(x...); });
  bind<hook::load>(a, load, [](auto& own, auto&&... x) { own.load(x...); });
  bind<hook::trains>(a, trains, [](auto& own, auto&&... x) { return own.trains(x...); });
  bind<hook::personal>(a, personal, [](auto& own, auto&&... x) { return own.personal(x...); });
  bind<hook::train>(a, train, [](auto& own, auto&&... x) { return own.train(x...); });
  bind<hook::also_sent>(a, also_sent, [](auto& own, auto&&... x) { return own.also_sent(x...); });
  bind<hook::kept_ranks>(a, kept_ranks, [](auto& own, auto&&... x) { return own.kept_ranks(x...); });
  bind<hook::expanded>(a, expanded, [](auto& own, auto&&... x) { return own.expanded(x...); });
  bind<hook::fold>(a, fold, [](auto& own, auto&&... x) { own.fold(x...); });
  bind<hook::after_round>(a, after_round, [](auto& own, auto&&... x) { own.after_round(x...); });
  bind<hook::evaluated>(a, evaluated, [](auto& own, auto&&... x) { return own.evaluated(x...); });
  bind<hook::personalise>(a, personalise, [](auto& own, auto&&... x) { own.personalise(x...); });
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_ANY_ALGORITHM(TEMPLATE, T) TEMPLATE struct AnyAlgorithm<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_ANY_ALGORITHM(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
