#pragma once
// A client's turn: a broadcast and local data in, an update out.

#include <type_traits>

#include <loru/fl/any_algorithm.hpp>
#include <loru/fl/client/catch_up.hpp>
#include <loru/fl/client/known_tensors.hpp>
#include <loru/fl/client/own_tensors.hpp>
#include <loru/fl/client/train.hpp>
#include <loru/fl/message/downlink.hpp>
#include <loru/fl/message/uplink.hpp>

namespace loru::inline LORU_ISA::fl {

/// The data and options that a client trains with.
template <class T, class D = Cpu>
struct LocalData {
  DeviceData<D> dataset;
  std::span<const Index> samples;
  const ClientOptions& options;
  const train::Task<T, D>& task = train::classification<T, D>();
};

/// Who owns the frozen weights of a client's model.
enum class Frozen : unsigned char {
  own,     ///< the client: it does the merges that it missed
  shared,  ///< the server, which has done them already
};

namespace detail {

/// The ranks that a broadcast gives a client's layers. Throws DataError for another number of ranks than the
/// model has layers with factors, and for one above the layer's own; where ranks may `rise`, for one that is
/// also above min(m, n), the most that a layer's update can have.
template <class T, class D>
std::vector<Index> client_ranks(const io::Archive& broadcast, nn::Model<T, D>& model, bool rise) {
  const std::vector<Index> ranks = get_ranks(broadcast, "ranks");
  std::vector<std::pair<std::string, Index>> layers;
  model.visit({.weight = [&](const std::string& layer, nn::Weight<T, D>& weight) {
    const Shape w = weight.shape();
    const Index full = std::min(w[0], w.size() / std::max<Index>(w[0], 1));
    if (weight.rank() > 0) layers.emplace_back(layer, rise ? std::max(weight.rank(), full) : weight.rank());
  }});
  require<DataError>(ranks.size() == layers.size(), "message: metadata 'ranks': expected ", layers.size(),
                     " ranks, got ", ranks.size());
  for (std::size_t i = 0; i < ranks.size(); ++i)
    require<DataError>(ranks[i] <= layers[i].second, "message: metadata 'ranks': layer ", layers[i].first,
                       ": expected at most ", layers[i].second, ", got ", ranks[i]);
  return ranks;
}

/// More bytes than any broadcast for the model has: of a layer it may hold W, factors of full rank, 2·m·n
/// numbers at most, and what the algorithm sends beside them.
template <class T, class D>
Index most_broadcast_bytes(nn::Model<T, D>& model) {
  constexpr Index header = Index{1} << 20, times = 8;
  Index numbers = 0;
  model.visit({.weight = [&](const std::string&, nn::Weight<T, D>& w) { numbers += w.shape().size(); }});
  for (const auto& [name, tensor, role] : model.state()) numbers += tensor.size();
  return header + times * numbers * static_cast<Index>(sizeof(T));
}

}  // namespace detail

/// Brings a client's model to the ranks and the state of a broadcast that is already decoded. A model that
/// shares the server's frozen weights is every client's in turn, so that its ranks may rise. Throws
/// DataError.
template <class T, class D>
void load_broadcast(nn::Model<T, D>& model, const io::Archive& broadcast, const AnyAlgorithm<T, D>& algorithm,
                    Frozen frozen = Frozen::own) {
  detail::get_head(broadcast, "broadcast");
  const bool rise = algorithm.ranks_return || frozen == Frozen::shared;
  if (broadcast.metadata().contains("ranks"))
    algorithm.shape(model, detail::client_ranks(broadcast, model, rise));
  algorithm.load ? algorithm.load(model, broadcast) : get_state(broadcast, model, algorithm.sends);
}

/// A client's whole turn. `model` is built and factorised as the server's was, from the same seed. `state` is
/// the client's state, empty before its first turn. It becomes the state after the turn, to be saved if the
/// round succeeds. Throws DataError for a malformed broadcast and for the state of another model,
/// DivergedError if the loss is not finite; the state may then be half changed.
template <class T, class D>
Message take_turn(nn::Model<T, D>& model, const io::Archive& broadcast, const AnyAlgorithm<T, D>& algorithm,
                  const LocalData<T, D>& local, io::Archive& state, Frozen frozen) {
  const io::Archive received = decode_broadcast<T>(broadcast, coded_tensors(model), state);
  load_broadcast(model, received, algorithm, frozen);
  if (frozen == Frozen::own) {
    require_known(received, model, algorithm);
    apply_missed_merges(received, model);  // last: a bad message leaves the weights alone
  }
  const Head head = detail::get_head(received, "broadcast");
  io::Archive extra("update");
  const Turn<T, D> turn{model, local.dataset, local.samples, local.options, head,
                        state, received,      extra,         local.task};
  OwnTensors<T, D> own(turn, algorithm.personal);
  double loss = 0.0;
  {
    const TrainOnly<T, D> guard(model, algorithm.trained(head.round));
    loss = algorithm.train ? algorithm.train(turn) : train(turn);
  }
  own.keep();
  io::Archive update = update_archive(model, head, static_cast<Index>(local.samples.size()), loss,
                                      algorithm.sent(head.round), extra);
  encode_update<T>(update, received, head, coded_tensors(model), state);
  return io::serialise(update);
}

/// A turn as bytes: a broadcast message in, an update message out. `model` is the client's own and stays with
/// it between rounds. If the turn fails, model and state are what they were before. On a device other than
/// the host keep a DeviceData between turns; otherwise each turn uploads the data set again. Throws as
/// take_turn does, and DataError for a message larger than any broadcast for the model, which it does not
/// parse, and for one with a tensor that clients do not read.
template <class T, class D>
Message answer(nn::Model<T, D>& model, std::span<const std::byte> broadcast,
               const std::type_identity_t<AnyAlgorithm<T, D>>& algorithm,
               const std::type_identity_t<DeviceData<D>>& dataset, std::span<const Index> samples,
               const ClientOptions& options, io::Archive& state,
               const std::type_identity_t<train::Task<T, D>>& task = train::Classification{}) {
  const Index most = detail::most_broadcast_bytes(model), bytes = std::ssize(broadcast);
  require<DataError>(bytes <= most, "message: broadcast: expected at most ", most, " bytes, got ", bytes);
  nn::Model<T, D> before = model;
  io::Archive former = state;
  try {
    return take_turn(model, io::borrow(broadcast, "broadcast"), algorithm,
                     LocalData<T, D>{dataset, samples, options, task}, state, Frozen::own);
  } catch (...) {
    model = std::move(before);
    state = std::move(former);
    throw;
  }
}

/// The same for algorithms without client state. Throws ConfigError for an algorithm that has it.
template <class T, class D>
Message answer(nn::Model<T, D>& model, std::span<const std::byte> broadcast,
               const std::type_identity_t<AnyAlgorithm<T, D>>& algorithm,
               const std::type_identity_t<DeviceData<D>>& dataset, std::span<const Index> samples,
               const ClientOptions& options,
               const std::type_identity_t<train::Task<T, D>>& task = train::Classification{}) {
  io::Archive state("state");
  Message message = answer(model, broadcast, algorithm, dataset, samples, options, state, task);
  require<ConfigError>(state.size() == 0, algorithm.name,
                       ": expected the client's state, which it keeps between turns, got none");
  return message;
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_TURN(TEMPLATE, T)                                                                    \
  TEMPLATE void load_broadcast<T, Cpu>(nn::Model<T>&, const io::Archive&, const AnyAlgorithm<T>&, Frozen); \
  TEMPLATE Message take_turn<T, Cpu>(nn::Model<T>&, const io::Archive&, const AnyAlgorithm<T>&,            \
                                     const LocalData<T>&, io::Archive&, Frozen);                           \
  TEMPLATE Message answer<T, Cpu>(nn::Model<T>&, std::span<const std::byte>, const AnyAlgorithm<T>&,       \
                                  const DeviceData<Cpu>&, std::span<const Index>, const ClientOptions&,    \
                                  io::Archive&, const train::Task<T>&);                                    \
  TEMPLATE Message answer<T, Cpu>(nn::Model<T>&, std::span<const std::byte>, const AnyAlgorithm<T>&,       \
                                  const DeviceData<Cpu>&, std::span<const Index>, const ClientOptions&,    \
                                  const train::Task<T>&);
#ifdef LORU_COMPILED
LORU_COMPILED_TURN(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
