#pragma once
// Coded broadcasts.

#include <unordered_map>

#include <loru/fl/message/dense.hpp>
#include <loru/fl/message/sparse.hpp>
#include <loru/fl/message/table.hpp>

namespace loru::inline LORU_ISA::fl {

namespace detail {

inline constexpr std::string_view received_prefix = "codec.received.";

}  // namespace detail

/// The server's side. fp16, bf16 and int8 code the state of each round, one for all clients: int8 draws from
/// stream (seed, downlink, round). With top_k server and clients share a copy x̂ of the trained parameters.
/// Each round the k numbers of a tensor with the largest |x − x̂| are set to those of x; the rest stays in
/// the difference. A client gets the numbers that changed since the copy that it has, the first time all. A
/// tensor whose change would not take fewer bytes than the whole is sent whole, and so are factors that start
/// anew.
template <class T>
class Downlink {
 public:
  Downlink(Code code, double keep, std::uint64_t seed) : code_{code}, keep_{keep}, seed_{seed} {}

  /// Codes a broadcast's state, in place, for clients that have the copy of round `since`. `parameters` are
  /// the tensors that codecs apply to. Throws DivergedError unless all numbers are finite.
  void encode(io::Archive& archive, const std::vector<nn::TensorId>& parameters, Index round, Index since) {
    if (code_ == Code::none) return;
    if (code_ == Code::top_k) return encode_changes(archive, parameters, round, since);
    const rng::Stream stream(seed_, rng::Purpose::downlink, static_cast<std::uint32_t>(round));
    std::uint32_t position = 0;
    for (const std::string& name : parameters) {
      ++position;
      if (archive.contains(name))
        put_dense(archive, name, archive.get<T>(name), code_, stream.fork(position));
    }
  }

  /// The state of a broadcast as every client decodes it, in place.
  void receive(io::Archive& archive, const std::vector<nn::TensorId>& parameters, Index round) {
    if (code_ == Code::none) return;
    if (code_ == Code::top_k) {
      advance(archive, parameters, round);
      for (const auto& [name, copy] : copies_)
        if (archive.contains(name)) archive.share(name, copy.x);
      return;
    }
    encode(archive, parameters, round, 0);
    for (const std::string& name : parameters)
      if (archive.contains(name)) {
        const Tensor<T> x = get_dense<T>(archive, name);
        archive.erase(detail::scale_name(name));
        archive.share(name, x);
      }
  }

  /// The round of the copy that the client has; 0: none.
  Index since(Index client) const {
    const auto found = known_.find(client);
    return found == known_.end() ? 0 : found->second;
  }

  /// The client is known to have a round's broadcast.
  void known(Index client, Index round) {
    if (code_ == Code::top_k) known_[client] = round;
  }

  /// The factors start anew: they will be sent whole.
  void forget_factors() {
    std::erase_if(copies_, [](const auto& entry) { return nn::is_factor(entry.second.role); });
  }

  /// Adds the copies and who has which to an archive: `downlink/copy/<tensor>`, `downlink/changed/<tensor>`
  /// and `known/copies`.
  void save(io::Archive& archive) const {
    archive.metadata()["downlink.round"] = std::to_string(round_);
    for (const auto& [name, copy] : copies_) {
      archive.share("downlink/copy/" + name, copy.x);
      put_table(archive, "downlink/changed/" + name, {copy.changed});
    }
    Table clients;
    for (const auto& [client, round] : known_) clients.push_back({client, round});
    std::sort(clients.begin(), clients.end());
    put_table(archive, "known/copies", clients);
  }

  /// Takes what save() added in that round for a model of these shapes. Throws DataError for tensors of other
  /// shapes and for rounds to come; it may then be half changed.
  template <class D>
  void restore(const io::Archive& archive, nn::Model<T, D>& model, Index round) {
    round_ = get_number(archive, "downlink.round", 0, round);
    copies_.clear();
    known_.clear();
    for (const auto& p : model.trained_parameters()) {
      if (!archive.contains("downlink/copy/" + p.name)) continue;
      const std::string changed = "downlink/changed/" + p.name;
      Copy copy{archive.get<T>("downlink/copy/" + p.name, p.value.shape()), {}, p.role};
      Table table = get_table(archive, changed, copy.x.size());
      require<DataError>(table.size() == 1, archive.origin(), ": tensor ", changed, ": expected 1 row, got ",
                         table.size());
      copy.changed = std::move(table[0]);
      for (const Index at : copy.changed) require_between(archive, "tensor " + changed, at, 0, round_);
      copies_[p.name] = std::move(copy);
    }
    for (const auto& row : get_table(archive, "known/copies", 2)) {
      require_between(archive, "tensor known/copies: client", row[0], 0);
      require_between(archive, concat("tensor known/copies: client ", row[0]), row[1], 0, round_);
      known_[row[0]] = row[1];
    }
  }

 private:
  /// x̂ of a tensor, and the round in which each of its numbers last changed.
  struct Copy {
    Tensor<T> x;
    std::vector<Index> changed;
    nn::Role role;
  };

  /// Brings x̂ to a round, unless it is there already.
  void advance(const io::Archive& archive, const std::vector<nn::TensorId>& parameters, Index round) {
    if (round == round_) return;
    for (const auto& [name, role] : parameters) {
      if (!archive.contains(name)) continue;
      const auto x = archive.get<T>(name);
      require<DivergedError>(all_finite(x), archive.origin(), ": ", name, " is not finite");
      const auto [entry, missing] = copies_.try_emplace(name);
      Copy& copy = entry->second;
      if (missing) {
        copy = {x, std::vector<Index>(static_cast<std::size_t>(x.size()), round), role};
        continue;
      }
      Tensor<T> change = clone(x);
      add_scaled(change, T(-1), copy.x);
      for (const std::int32_t at : largest<T>(change.span(), kept_numbers(keep_, x.size()))) {
        if (change.data()[at] == T(0)) continue;
        copy.x.data()[at] = x.data()[at];
        copy.changed[static_cast<std::size_t>(at)] = round;
      }
    }
    round_ = round;
  }

  void encode_changes(io::Archive& archive, const std::vector<nn::TensorId>& parameters, Index round,
                      Index since) {
    advance(archive, parameters, round);
    archive.metadata()["since"] = std::to_string(since);
    for (const auto& [name, copy] : copies_) {
      if (!archive.contains(name)) continue;
      std::vector<std::int32_t> index;
      for (std::size_t i = 0; i < copy.changed.size(); ++i)
        if (copy.changed[i] > since) index.push_back(static_cast<std::int32_t>(i));
      const bool pays = sparse_pays<T>(static_cast<Index>(index.size()), copy.x.size());
      if (pays) archive.erase(name);
      if (!pays) archive.share(name, copy.x);
      if (pays && !index.empty()) put_sparse(archive, name, copy.x, index);
    }
  }

  Code code_;
  double keep_;
  std::uint64_t seed_;
  Index round_ = 0;  // of x̂
  std::map<std::string, Copy> copies_;
  std::unordered_map<Index, Index> known_;  // round of x̂, by client
};

/// The client's side: decodes a broadcast, up to what the code lost. With top_k the client's state holds its
/// copy x̂ (`codec.received.<tensor>`) and its round. Throws DataError for coded tensors that are malformed,
/// and if the client's state lacks numbers that the broadcast leaves out; the state may then be half changed.
template <class T>
io::Archive decode_broadcast(io::Archive archive, const std::vector<nn::TensorId>& parameters,
                             io::Archive& state) {
  std::vector<std::string> coded;  // also of names that a model of other ranks does not have
  for (const auto& [name, raw] : archive.tensors())
    if (dense_coded(raw)) coded.push_back(name);
  for (const std::string& name : coded) {
    const Tensor<T> x = get_dense<T>(archive, name);
    archive.erase(detail::scale_name(name));
    archive.share(name, x);
  }
  if (!archive.metadata().contains("since")) return archive;
  const auto since = detail::number<Index>(archive, "since");
  const Index own =
      state.metadata().contains("codec.received") ? detail::number<Index>(state, "codec.received") : 0;
  require<DataError>(own >= since, "message: expected the state of a client that knows round ", since,
                     ", got ", own);
  for (const std::string& name : parameters) {
    const std::string kept = std::string(detail::received_prefix) + name;
    if (!archive.contains(name)) {
      if (!state.contains(kept)) continue;  // never sent
      Tensor<T> x = state.get<T>(kept);
      if (sparse_coded(archive, name))
        for_each_sparse<T>(archive, name, x.size(), [&](Index at, T value) { x.data()[at] = value; });
      archive.erase(detail::index_name(name));
      archive.erase(detail::value_name(name));
      archive.share(name, x);
    }
    state.put(kept, archive.get<T>(name));
  }
  state.metadata()["codec.received"] = std::to_string(detail::get_head(archive, "broadcast").round);
  return archive;
}

}  // namespace loru::inline LORU_ISA::fl
