#pragma once
// What a client reads of a broadcast, and what it keeps between turns: anything else is refused, since it
// would be passed over or carried along for good.

#include <map>
#include <set>
#include <utility>

#include <loru/fl/any_algorithm.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/client/personal_factors.hpp>
#include <loru/fl/message/downlink.hpp>
#include <loru/fl/message/merges.hpp>
#include <loru/fl/message/uplink.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::fl {

/// Throws DataError for a tensor of a decoded broadcast that a client of this model does not read: neither of
/// the state that the algorithm sends, nor W of a layer or a factor of a merge that it applies, nor what the
/// algorithm sends besides: what also_sent() lists, and, of an algorithm with a hook for broadcasts, tensors
/// whose names begin with its own and a dot. The model has the broadcast's ranks. Algorithms that load a
/// broadcast themselves may read all parameters.
template <class T, class D>
void require_known(const io::Archive& broadcast, nn::Model<T, D>& model,
                   const AnyAlgorithm<T, D>& algorithm) {
  std::set<std::string, std::less<>> known;
  for (const auto& tensor : model.state())
    if (chosen(algorithm.sends, tensor.id())) known.insert(tensor.name);
  if (algorithm.load)
    for (const auto& p : model.parameters()) known.insert(p.name);
  if (algorithm.also_sent)
    for (const auto& tensor : algorithm.also_sent(model)) known.insert(tensor.name);
  const auto merges = detail::number<Index>(broadcast, "merges");
  lowrank::for_each_frozen(model, [&](const std::string& layer, auto&) {
    known.insert(nn::weight_name(layer));
    for (Index k = merges - 1; k >= 0 && broadcast.contains(merge_name(k, layer, nn::Role::down)); --k)
      for (const nn::Role role : {nn::Role::down, nn::Role::up}) known.insert(merge_name(k, layer, role));
  });
  const auto own = [&](const std::string& name) {
    return algorithm.broadcast && name.starts_with(algorithm.name + '.');
  };
  for (const auto& [name, raw] : broadcast.tensors())
    require<DataError>(known.contains(name) || own(name),
                       "message: broadcast: expected tensors of the model, its merges and the algorithm, "
                       "got '",
                       name, "'");
}

namespace detail {

/// The tensors that a client of the model may keep: names, shapes and roles. Where clients have ranks of
/// their own those of a factor are another's.
template <class T, class D>
std::map<std::string, std::pair<Shape, nn::Role>, std::less<>> kept_tensors(
    nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm) {
  std::map<std::string, std::pair<Shape, nn::Role>, std::less<>> kept;
  for (const auto& [name, tensor, role] : model.state())
    if (algorithm.personal && algorithm.personal({name, role}))
      kept[std::string(own_prefix) + name] = {tensor.shape(), role};
  if (algorithm.also_sent)
    for (const auto& [name, shape, role] : algorithm.also_sent(model)) kept[name] = {shape, role};
  for (const auto& p : model.trained_parameters()) {
    for (const std::string_view prefix : {received_prefix, feedback_prefix})
      kept[std::string(prefix) + p.name] = {p.value.shape(), p.role};
    if (const auto control = kept.find(control_name(p.name)); control != kept.end())
      control->second.second = p.role;
  }
  if (algorithm.personalise)
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, auto& weight) {
      const Shape w = weight.shape();
      kept[personal_name(layer, nn::Role::down)] = {lowrank::factor_shape(w, 1), nn::Role::down};
      kept[personal_name(layer, nn::Role::up)] = {Shape{w[0], 1}, nn::Role::up};
    });
  return kept;
}

/// Whether the shapes are the same but for the rank of a factor.
inline bool same_but_rank(const Shape& a, const Shape& b, nn::Role role) {
  if (a.rank() != b.rank()) return false;
  const Index of_rank = role == nn::Role::down ? 0 : role == nn::Role::up ? 1 : -1;
  for (Index i = 0; i < a.rank(); ++i)
    if (i == of_rank ? a[i] < 1 : a[i] != b[i]) return false;
  return true;
}

}  // namespace detail

/// Throws DataError for a state that no client of this model and algorithm keeps: a tensor of another name,
/// shape or type, a number that is not finite, metadata other than those of codecs. A factor may have any
/// rank, since clients may have ranks of their own.
template <class T, class D>
void check_state(const io::Archive& state, nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm) {
  const auto kept = detail::kept_tensors(model, algorithm);
  for (const auto& [name, raw] : state.tensors()) {
    const auto found = kept.find(name);
    require<DataError>(found != kept.end(), state.origin(), ": expected what clients keep under ",
                       algorithm.name, ", got tensor '", name, "'");
    const auto& [shape, role] = found->second;
    require<DataError>(detail::same_but_rank(raw.shape, shape, role), state.origin(), ": tensor ", name,
                       ": expected shape ", shape, nn::is_factor(role) ? " at any rank" : "", ", got ",
                       raw.shape);
    require<DataError>(all_finite(state.get<T>(name)), state.origin(), ": tensor ", name,
                       ": expected finite numbers");
  }
  for (const auto& [key, value] : state.metadata()) {
    require<DataError>(key == "codec.received" || key == "codec.round", state.origin(),
                       ": expected metadata of codecs, got '", key, "'");
    const auto round = detail::number<Index>(key, value);
    require<DataError>(round >= 1, state.origin(), ": metadata '", key, "': expected a round from 1, got ",
                       round);
  }
}

}  // namespace loru::inline LORU_ISA::fl
