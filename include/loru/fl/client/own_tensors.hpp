#pragma once
// Tensors of the model's state that stay on the client.

#include <loru/fl/server/aggregate.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/message/resize.hpp>
#include <loru/fl/client/store.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline constexpr std::string_view own_prefix = "own.";

/// f(name, tensor) for each tensor of the model's state that the selection has; what f assigns is the model's.
template <class T, class D, class F>
void for_each_own(nn::Model<T, D>& model, const Selection& own, F f) {
  if (!own) return;
  model.visit({.parameter =
                   [&](const std::string& name, Variable<T, D>& v) {
                     if (!v.requires_grad() || !own(name)) return;
                     Tensor<T, D> value = v.value();
                     f(name, value);
                     v.set_value(value);
                   },
               .buffer =
                   [&](const std::string& name, Tensor<T, D>& t) {
                     if (own(name)) f(name, t);
                   }});
}

}  // namespace detail

/// Whether a client's state has tensors whose names begin with the prefix.
inline bool keeps(const io::Archive& state, std::string_view prefix) {
  const auto at = state.tensors().lower_bound(prefix);
  return at != state.tensors().end() && at->first.starts_with(prefix);
}

/// Sets the client's own tensors in the model from its state, if it has kept any: `own.<tensor>`. Throws DataError for another
/// model's.
template <class T, class D>
void get_own(const Turn<T, D>& turn, const Selection& own) {
  if (!keeps(turn.state, detail::own_prefix)) return;
  detail::for_each_own(turn.model, own, [&](const std::string& name, Tensor<T, D>& t) {
    const std::string kept = std::string(detail::own_prefix) + name;
    t = to_device<D>(
        to_layout(personal_tensor<T>(turn.state, turn.head.client, kept, t.shape()), t.layout()));
  });
}

/// While one is alive the model has the client's own tensors, in its first turn those that the model had; keep() puts them into
/// its state. Afterwards the model has its former ones again.
template <class T, class D = Cpu>
class OwnTensors {
 public:
  /// Throws DataError for another model's.
  OwnTensors(const Turn<T, D>& turn, const Selection& own) : turn_{turn}, own_{own} {
    detail::for_each_own(turn.model, own, [&](auto&, Tensor<T, D>& t) {
      before_.push_back(t);
      t = clone(t);
    });
    get_own(turn, own);
  }
  OwnTensors(const OwnTensors&) = delete;
  OwnTensors& operator=(const OwnTensors&) = delete;
  ~OwnTensors() {
    auto next = before_.begin();
    detail::for_each_own(turn_.model, own_, [&](auto&, Tensor<T, D>& t) { t = *next++; });
  }

  void keep() {
    detail::for_each_own(turn_.model, own_, [&](const std::string& name, Tensor<T, D>& t) {
      turn_.state.put(std::string(detail::own_prefix) + name, to_host(t));
    });
  }

 private:
  const Turn<T, D>& turn_;
  Selection own_;
  std::vector<Tensor<T, D>> before_;
};

/// A copy of the model whose tensors of the selection are the means, by samples, of those that clients have kept, at the model's
/// ranks; those of the model where none has. For evaluating a global model of which clients keep a part: a server could not compute it.
template <class T, class D>
nn::Model<T, D> with_mean_of_own(nn::Model<T, D>& model, const Selection& own, ClientStore& store,
                                 std::span<const std::vector<Index>> parts) {
  nn::Model<T, D> result(model);
  Average<T> average;
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const auto state = store.load(static_cast<Index>(k));
    if (!state || !keeps(*state, detail::own_prefix)) continue;
    Update update{.head = {.client = static_cast<Index>(k)},
                  .samples = static_cast<Index>(parts[k].size()),
                  .state = {}};
    for (const auto& [name, raw] : state->tensors())
      if (name.starts_with(detail::own_prefix))
        update.state.put_raw(name.substr(detail::own_prefix.size()), raw);
    resize_factors(update.state, result, lowrank::ranks(result));
    average.add(update);
  }
  if (average.updates() > 0) get_state(average.result(), result, own);
  return result;
}

}  // namespace loru::fl
