#pragma once
// The broadcasts of a round. Clients that are sent the same share one, which is made only once.

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include <loru/fl/message/downlink.hpp>
#include <loru/fl/server/merge_history.hpp>

namespace loru::inline LORU_ISA::fl {

/// The broadcasts of a round. Clients of the same ranks have the same state before it is coded; those that
/// also know the same merges and the same copy of a coded state are sent the same but for the client's
/// number. Copies of an archive share its tensors.
template <class T, class D>
class Broadcasts {
 public:
  Broadcasts(const Codecs& codecs, std::uint64_t seed) : downlink_{codecs.downlink, codecs.keep, seed} {}

  /// Another round begins.
  void clear() {
    plain_.clear();
    received_.clear();
    encoded_.clear();
    coded_.clear();
    messages_.clear();
  }

  /// The broadcast for a client of these ranks that knows these merges: plain(), coded, with the merges that
  /// catch_up(archive) adds.
  template <class Plain, class CatchUp>
  io::Archive coded(nn::Model<T, D>& model, const std::vector<Index>& ranks,
                    const typename MergeHistory<T, D>::Known& known, Index client, Index round, Plain plain,
                    CatchUp catch_up) {
    return once(coded_, std::tuple{ranks, known, downlink_.since(client)}, [&] {
      io::Archive archive = encoded(model, ranks, client, round, plain);
      catch_up(archive);
      return archive;
    });
  }

  /// The same without merges, as bytes: one message for all clients of these ranks and this copy.
  template <class Plain>
  Bytes message(nn::Model<T, D>& model, const std::vector<Index>& ranks, Index client, Index round,
                Plain plain) {
    return once(messages_, std::pair{ranks, downlink_.since(client)}, [&] {
      return std::make_shared<const Message>(io::serialise(encoded(model, ranks, client, round, plain)));
    });
  }

  /// The state as a client of these ranks decodes it.
  template <class Plain>
  const io::Archive& received(nn::Model<T, D>& model, const std::vector<Index>& ranks, Index round,
                              Plain plain) {
    return once(received_, ranks, [&] {
      io::Archive archive = once(plain_, ranks, plain);
      downlink_.receive(archive, coded_tensors(model), round);
      return archive;
    });
  }

  /// The client is known to have the state of a round.
  void known(Index client, Index round) { downlink_.known(client, round); }
  /// The factors start anew.
  void forget_factors() { downlink_.forget_factors(); }

  /// See Downlink.
  void save(io::Archive& archive) const { downlink_.save(archive); }
  void restore(const io::Archive& archive, nn::Model<T, D>& model, Index round) {
    downlink_.restore(archive, model, round);
  }

 private:
  template <class Plain>
  const io::Archive& encoded(nn::Model<T, D>& model, const std::vector<Index>& ranks, Index client,
                             Index round, Plain plain) {
    return once(encoded_, std::pair{ranks, downlink_.since(client)}, [&] {
      io::Archive archive = once(plain_, ranks, plain);
      downlink_.encode(archive, coded_tensors(model), round, downlink_.since(client));
      return archive;
    });
  }

  /// The key's value, made if it is not there.
  template <class Key, class Value, class Make>
  static const Value& once(std::map<Key, Value>& all, const Key& key, Make make) {
    const auto found = all.find(key);
    return found != all.end() ? found->second : all.emplace(key, make()).first->second;
  }

  Downlink<T> downlink_;
  std::map<std::vector<Index>, io::Archive> plain_, received_;
  std::map<std::pair<std::vector<Index>, Index>, io::Archive> encoded_;  // of ranks and a copy's round
  std::map<std::pair<std::vector<Index>, Index>, Bytes> messages_;
  std::map<std::tuple<std::vector<Index>, typename MergeHistory<T, D>::Known, Index>, io::Archive> coded_;
};

}  // namespace loru::inline LORU_ISA::fl
