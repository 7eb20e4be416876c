#pragma once
// The merges a server has done, so that a client which slept through some can catch up.

#include <limits>
#include <map>
#include <string>
#include <unordered_map>

#include <loru/fl/message.hpp>

namespace loru::fl {

/// Factors of every merge still needed, by layer, and how many merges each client knows.
template <class T>
class MergeHistory {
 public:
  /// Records the factors that are about to be merged.
  void record(nn::Model<T>& model) {
    lowrank::for_each_factored(model, [&](const std::string& layer, nn::Factored<T, Cpu>& weight) {
      auto& list = factors_[layer];
      list.push_back({merges_, {weight.a().value(), weight.b().value()}});
      const std::size_t limit = bytes(weight.base().value());
      std::size_t held = 0;
      for (auto it = list.rbegin(); it != list.rend(); ++it) held += bytes(*it);
      while (held >= limit && !list.empty()) {  // from here back the weight itself is never dearer
        held -= bytes(list.front());
        list.erase(list.begin());
      }
    });
    ++merges_;
  }

  Index merges() const { return merges_; }

  /// Adds what the client lacks, per layer the cheaper of the weight and the missed merges' factors, and marks
  /// it as known. A client never seen knows the first weights from the seed.
  void catch_up(Index client, nn::Model<T>& model, io::Archive& archive) {
    Index& known = known_[client];
    lowrank::for_each_factored(model, [&](const std::string& layer, nn::Factored<T, Cpu>& weight) {
      if (known == merges_) return;
      const auto& list = factors_[layer];
      const bool complete = !list.empty() && list.front().merge <= known;
      std::size_t missed = 0;
      for (const Record& record : list) missed += record.merge >= known ? bytes(record) : 0;
      if (!complete || bytes(weight.base().value()) <= missed) {
        archive.share(layer + ".weight", weight.base().value());
        return;
      }
      for (const Record& record : list)
        if (record.merge >= known) {
          archive.share(name(record.merge, layer, "lora_A"), record.factors.a);
          archive.share(name(record.merge, layer, "lora_B"), record.factors.b);
        }
    });
    known = merges_;
  }

  /// Name of a factor of merge `number` (from 0) in a broadcast.
  static std::string name(Index number, const std::string& layer, const char* factor) {
    return "merge." + std::to_string(number) + "." + layer + "." + factor + ".weight";
  }

 private:
  struct Record {
    Index merge;
    lowrank::Factors<T> factors;
  };

  static std::size_t bytes(const Tensor<T>& t) { return static_cast<std::size_t>(t.size()) * sizeof(T); }
  static std::size_t bytes(const Record& r) { return bytes(r.factors.a) + bytes(r.factors.b); }

  Index merges_ = 0;
  std::map<std::string, std::vector<Record>> factors_;
  std::unordered_map<Index, Index> known_;
};

/// The client's side: applies missed merges of a broadcast to the model's frozen weights, in order.
/// The client must know the merges before `first`, the lowest number in the broadcast.
template <class T, class D>
void apply_missed_merges(const io::Archive& archive, nn::Model<T, D>& model) {
  const auto merges = detail::number<Index>(archive, "merges");
  lowrank::for_each_factored(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
    Tensor<T, D> w = weight.base().value();
    if (archive.contains(layer + ".weight"))
      w = to_layout(archive.get<T>(layer + ".weight", w.shape()), w.layout());
    for (Index k = 0; k < merges; ++k) {
      const std::string a = MergeHistory<T>::name(k, layer, "lora_A"),
                        b = MergeHistory<T>::name(k, layer, "lora_B");
      if (!archive.contains(a)) continue;
      const Shape shape = lowrank::factor_shape(w.shape(), weight.rank());
      w = lowrank_compose(w, to_layout(archive.get<T>(a, shape), w.layout()), archive.get<T>(b),
                          weight.scale());
    }
    weight.base().set_value(w);
  });
}

}  // namespace loru::fl
