#pragma once
// The merges that a server has done, so that a client that missed some can catch up.

#include <compare>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <loru/fl/message/merges.hpp>
#include <loru/lowrank/merge.hpp>

namespace loru::inline LORU_ISA::fl {

/// Factors of every merge still needed, by layer, and how many merges each client knows. They stand on the
/// host, whatever the model's device.
template <class T, class D = Cpu>
class MergeHistory {
 public:
  /// What a client knows: the number of merges that it has done, or -1 if it does not know the first weights.
  /// `sure` is false if the client was sent a broadcast with further merges and nobody reported whether it
  /// arrived.
  struct Known {
    Index merges = 0;
    bool sure = true;
    auto operator<=>(const Known&) const = default;
  };

  struct Record {
    Index merge;
    lowrank::Factors<T> factors;
  };

  /// Whether clients know the first weights, from the seed; otherwise each is sent them once.
  explicit MergeHistory(bool weights_known = true) : first_known_{weights_known ? 0 : Index{-1}} {}

  /// Records the factors that are about to be merged, of any rank, with the layer's own scale.
  void record(nn::Model<T, D>& model, const lowrank::Products<T, D>& products);

  /// Counts a merge without factors: clients that missed it are sent the weight.
  void record_whole();

  Index merges() const { return done_.count; }

  /// The factors of the last merge, on the host; none before the first and after one without factors.
  const lowrank::Products<T>& last() const { return done_.last; }

  /// The merges themselves, without what clients know of them: all that record() and record_whole() change.
  /// Copies share tensors.
  struct Merges {
    Index count = 0;
    lowrank::Products<T> last{};
    std::map<std::string, std::vector<Record>> factors{};
  };
  const Merges& done() const { return done_; }
  void restore(Merges done) { done_ = std::move(done); }

  Known known(Index client) const;

  /// A broadcast with all merges is sent to the client.
  void told(Index client) {
    Client& c = client_of(client);
    c.before = std::exchange(c.told, merges());
  }
  /// That broadcast has arrived.
  void arrived(Index client) { client_of(client).merges = client_of(client).told; }
  /// That broadcast was lost: the client knows what it knew before it, for sure or not.
  void lost(Index client) { client_of(client).told = client_of(client).before; }

  /// Adds the merges that a client lacks: per layer the weight or the missed merges' factors, whichever is
  /// cheaper. Where it is not sure what the client knows it adds the weight, which does no harm when it is
  /// received twice.
  void catch_up(const Known& known, nn::Model<T, D>& model, io::Archive& archive) const;

  /// Adds all of it to an archive, or takes it from there: fl/server/checkpoint.hpp. Throws DataError for
  /// factors that do not fit the model and for numbers out of range; it may then be half changed.
  void save(io::Archive& archive) const;
  void restore(const io::Archive& archive, nn::Model<T, D>& model);

 private:
  struct Client {
    Index merges, told, before;  // that it knows; of the last broadcast, and of the one before, or as many
  };

  Client& client_of(Index client);

  template <class Where>
  static std::size_t bytes(const Tensor<T, Where>& t) {
    return static_cast<std::size_t>(t.size()) * sizeof(T);
  }
  static std::size_t bytes(const Variable<T, D>& w) {
    return static_cast<std::size_t>(w.shape().size()) * sizeof(T);
  }
  static std::size_t bytes(const Record& r) { return bytes(r.factors.a) + bytes(r.factors.b); }

  Index first_known_;
  Merges done_;
  std::unordered_map<Index, Client> clients_;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
void MergeHistory<T, D>::record(nn::Model<T, D>& model, const lowrank::Products<T, D>& products) {
  done_.last.clear();
  lowrank::for_each_merging(model, [&](const std::string& layer, auto& weight) {
    auto& list = done_.factors[layer];
    const lowrank::Factors<T, D>& factors = products.at(layer);
    done_.last[layer] = {to_host(factors.a), to_host(factors.b)};
    list.push_back({merges(), done_.last[layer]});
    const std::size_t limit = bytes(weight.base());
    std::size_t held = 0;
    for (auto it = list.rbegin(); it != list.rend(); ++it) held += bytes(*it);
    while (held >= limit && !list.empty()) {  // factors of more bytes than W are not needed
      held -= bytes(list.front());
      list.erase(list.begin());
    }
  });
  ++done_.count;
}

template <class T, class D>
void MergeHistory<T, D>::record_whole() {
  done_ = {.count = done_.count + 1};
}

template <class T, class D>
typename MergeHistory<T, D>::Known MergeHistory<T, D>::known(Index client) const {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return {first_known_, true};
  return {found->second.merges, found->second.told == found->second.merges};
}

template <class T, class D>
void MergeHistory<T, D>::catch_up(const Known& known, nn::Model<T, D>& model, io::Archive& archive) const {
  if (known.merges == merges()) return;
  lowrank::for_each_frozen(model, [&](const std::string& layer, auto& weight) {
    const auto found = done_.factors.find(layer);
    static const std::vector<Record> none;
    const auto& list = found == done_.factors.end() ? none : found->second;
    const bool complete =
        known.sure && known.merges >= 0 && !list.empty() && list.front().merge <= known.merges;
    std::size_t missed = 0;
    for (const Record& record : list) missed += record.merge >= known.merges ? bytes(record) : 0;
    if (!complete || bytes(weight.base()) <= missed) {
      archive.share(nn::weight_name(layer), to_host(weight.base().decoded()));
      return;
    }
    for (const Record& record : list)
      if (record.merge >= known.merges) {
        archive.share(merge_name(record.merge, layer, nn::Role::down), record.factors.a);
        archive.share(merge_name(record.merge, layer, nn::Role::up), record.factors.b);
      }
  });
}

template <class T, class D>
typename MergeHistory<T, D>::Client& MergeHistory<T, D>::client_of(Index client) {
  return clients_.try_emplace(client, Client{first_known_, first_known_, first_known_}).first->second;
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_MERGE_HISTORY(TEMPLATE, T) TEMPLATE class MergeHistory<T>;
#ifdef LORU_COMPILED
LORU_COMPILED_MERGE_HISTORY(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
