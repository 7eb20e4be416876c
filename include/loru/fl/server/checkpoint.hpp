#pragma once
// All that a server's future depends on, as an archive, and back. server.hpp includes this file at its end.
//
//   <tensor of the model>            as in a model file, W and buffers too; W in blocks is left out
//   memory/<tensor>                  the server's memory
//   history/<layer>                  I64 (merges held, 1): their numbers; their factors are
//   history/merge.<n>.<layer>....    as clients are sent them
//   last/<layer>.lora_A.weight, ...  the factors of the last merge
//   known/merges                     I64 (clients, 3): client, merges that it knows, merges that it was told
//   downlink/copy/<tensor>           the copy of a coded state that clients share with the server
//   downlink/changed/<tensor>        I64: the round in which each of its numbers last changed
//   known/copies                     I64 (clients, 2): client, round of its copy
//   ranks                            I64 (clients, 1 + layers): client, its own ranks
//
// Names of a model's tensors have no slash, so that the archive is a model file as well.

#include <loru/fl/message/table.hpp>
#include <loru/fl/server/server.hpp>
#include <loru/train/model_file.hpp>

namespace loru::inline LORU_ISA::fl {

template <class T, class D>
void Server<T, D>::save(io::Archive& archive) {
  const io::Archive model = io::to_archive(model_);
  for (const auto& [name, raw] : model.tensors())
    if (!raw.blocks) archive.put_raw(name, raw);
  auto& text = archive.metadata();
  for (const auto& [key, value] : model.metadata()) text[key] = value;
  text["server.algorithm"] = algorithm_.name;
  text["server.seed"] = std::to_string(seed_);
  text["server.clients"] = std::to_string(clients_);
  text["server.round"] = std::to_string(round_);
  text["server.factors_since"] = std::to_string(factors_since_);
  for (const auto& [name, raw] : memory_.tensors()) archive.put_raw("memory/" + name, raw);
  for (const auto& [key, value] : memory_.metadata()) text["memory/" + key] = value;
  Table own;
  for (const auto& [client, ranks] : own_ranks_) {
    own.push_back({client});
    own.back().insert(own.back().end(), ranks.begin(), ranks.end());
  }
  put_table(archive, "ranks", own);
  history_.save(archive);
  broadcasts_.save(archive);
}

namespace detail {

/// Rounds and merges of a checkpoint: streams are keyed by 32 bits of a round, and one more is to follow.
inline constexpr Index most_counted = (Index{1} << 32) - 2;

/// A copy of the server's memory in an archive.
inline io::Archive saved_memory(const io::Archive& archive) {
  constexpr std::string_view prefix = "memory/";
  io::Archive memory("memory");
  for (const auto& [name, raw] : archive.tensors())
    if (name.starts_with(prefix)) memory.put_raw(name.substr(prefix.size()), raw);
  for (const auto& [key, value] : archive.metadata())
    if (key.starts_with(prefix)) memory.metadata()[key.substr(prefix.size())] = value;
  return io::parse(io::serialise(memory), "memory");
}

/// A copy of the model with the values of an archive; weights in blocks that it lacks stay.
template <class T, class D>
nn::Model<T, D> saved_model(nn::Model<T, D> model, io::Archive archive) {
  for (auto& p : model.parameters())
    if (p.value.blocks() && !archive.contains(p.name)) archive.share(p.name, *p.value.blocks());
  io::from_archive(model, archive);
  return model;
}

}  // namespace detail

template <class T, class D>
void Server<T, D>::restore(const io::Archive& archive) {
  require_text(archive, "server.algorithm", algorithm_.name);
  require_text(archive, "server.seed", std::to_string(seed_));
  require_text(archive, "server.clients", std::to_string(clients_));
  const Index round = get_number(archive, "server.round", 0, detail::most_counted);
  const Index factors_since = get_number(archive, "server.factors_since", 0, round);
  nn::Model<T, D> model = detail::saved_model(model_, archive);
  const std::vector<Index> layers = lowrank::ranks(model);
  std::map<Index, std::vector<Index>> own_ranks;
  for (const auto& row : get_table(archive, "ranks", 1 + std::ssize(layers))) {
    require_between(archive, "tensor ranks: client", row[0], 0);
    for (std::size_t i = 0; i < layers.size(); ++i)
      require_between(archive, concat("tensor ranks: client ", row[0]), row[i + 1], 1, layers[i]);
    own_ranks[row[0]] = {row.begin() + 1, row.end()};
  }
  MergeHistory<T, D> history = history_;
  history.restore(archive, model);
  Broadcasts<T, D> broadcasts(codecs_, seed_);
  broadcasts.restore(archive, model, round);
  memory_ = detail::saved_memory(archive);
  model_ = std::move(model);
  own_ranks_ = std::move(own_ranks);
  ranks_before_.clear();
  history_ = std::move(history);
  broadcasts_ = std::move(broadcasts);
  round_ = round;
  factors_since_ = factors_since;
  running_ = false;
  answered_.clear();
  drop_updates();
}

template <class T, class D>
void MergeHistory<T, D>::save(io::Archive& archive) const {
  archive.metadata()["history.merges"] = std::to_string(merges());
  for (const auto& [layer, records] : done_.factors) {
    Table numbers;
    for (const Record& record : records) {
      numbers.push_back({record.merge});
      for (const auto& [role, factor] :
           {std::pair{nn::Role::down, &record.factors.a}, std::pair{nn::Role::up, &record.factors.b}})
        archive.share("history/" + merge_name(record.merge, layer, role), *factor);
    }
    put_table(archive, "history/" + layer, numbers);
  }
  for (const auto& [layer, f] : done_.last) {
    archive.share("last/" + nn::factor_name(layer, nn::Role::down), f.a);
    archive.share("last/" + nn::factor_name(layer, nn::Role::up), f.b);
  }
  Table clients;
  for (const auto& [client, known] : clients_) clients.push_back({client, known.merges, known.told});
  std::sort(clients.begin(), clients.end());
  put_table(archive, "known/merges", clients);
}

namespace detail {

/// Factors of any rank of a weight, under two names. Throws DataError unless they fit it.
template <class T, class D>
lowrank::Factors<T> saved_factors(const io::Archive& archive, const std::string& a, const std::string& b,
                                  const Variable<T, D>& w) {
  const Index rank = archive.raw(b).shape.rank() == 2 ? archive.raw(b).shape[1] : 0;
  require<DataError>(rank >= 1, archive.origin(), ": tensor ", b, ": expected shape (", w.shape()[0],
                     ", r), got ", archive.raw(b).shape);
  return {to_layout(archive.get<T>(a, lowrank::factor_shape(w.shape(), rank)), w.layout()),
          archive.get<T>(b, {w.shape()[0], rank})};
}

}  // namespace detail

template <class T, class D>
void MergeHistory<T, D>::restore(const io::Archive& archive, nn::Model<T, D>& model) {
  done_ = {.count = get_number(archive, "history.merges", 0, detail::most_counted)};
  clients_.clear();
  lowrank::for_each_merging(model, [&](const std::string& layer, auto& weight) {
    Index next = 0;
    for (const auto& row : get_table(archive, "history/" + layer, 1)) {
      require_between(archive, "tensor history/" + layer, row[0], next, merges() - 1);
      next = row[0] + 1;
      const std::string prefix = "history/";
      done_.factors[layer].push_back(
          {row[0], detail::saved_factors(archive, prefix + merge_name(row[0], layer, nn::Role::down),
                                         prefix + merge_name(row[0], layer, nn::Role::up), weight.base())});
    }
    const std::string a = "last/" + nn::factor_name(layer, nn::Role::down);
    if (archive.contains(a))
      done_.last[layer] =
          detail::saved_factors(archive, a, "last/" + nn::factor_name(layer, nn::Role::up), weight.base());
  });
  for (const auto& row : get_table(archive, "known/merges", 3)) {
    require_between(archive, "tensor known/merges: client", row[0], 0);
    require_between(archive, concat("tensor known/merges: client ", row[0]), row[2], -1, merges());
    require_between(archive, concat("tensor known/merges: client ", row[0]), row[1], -1, row[2]);
    clients_[row[0]] = {row[1], row[2], row[2]};
  }
}

}  // namespace loru::inline LORU_ISA::fl
