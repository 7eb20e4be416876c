#pragma once
// Means over client states.

#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/message/resize.hpp>
#include <loru/fl/server/aggregate.hpp>

namespace loru::inline LORU_ISA::fl {

/// A copy of the model whose selected tensors are the means over the client states, by samples, at the
/// model's ranks. Tensors that no state holds stay the model's. For evaluating a global model of which a part
/// stays in client states: a server that has messages alone could not compute it.
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

}  // namespace loru::inline LORU_ISA::fl
