#pragma once
// Means over client states.

#include <loru/data/partition/common.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/message/resize.hpp>
#include <loru/fl/server/aggregate.hpp>

namespace loru::inline LORU_ISA::fl {

/// A copy of the model whose selected tensors are the means over the client states, by samples, at the
/// model's ranks. Tensors that no state holds stay the model's. For evaluating a global model of which a part
/// stays in client states: a server that has messages alone could not compute it.
template <class T, class D>
nn::Model<T, D> with_mean_of_own(nn::Model<T, D>& model, const Selection& own, ClientStore& store,
                                 const data::Partition& parts) {
  nn::Model<T, D> result(model);
  Average<T> average;
  for (const Index k : store.clients()) {
    if (k >= parts.clients()) break;  // of another federation
    const auto state = store.load(k);
    if (!state || !keeps(*state, detail::own_prefix)) continue;
    Update update{.head = {.client = k}, .samples = parts.size(k), .state = {}};
    for (const auto& [name, raw] : state->tensors())
      if (name.starts_with(detail::own_prefix))
        update.state.put_raw(name.substr(detail::own_prefix.size()), raw);
    resize_factors(update.state, result, lowrank::ranks(result));
    average.add(update);
  }
  if (average.updates() > 0) get_state(average.result(), result, own);
  return result;
}

}  // namespace loru::inline LORU_ISA::fl
