#pragma once
// The merges a server has done, so that a client which slept through some can catch up.

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include <loru/fl/message/message.hpp>

namespace loru::inline LORU_ISA::fl {

/// Factors of every merge still needed, by layer, and how many merges each client knows. They stand on the host, whatever
/// the model's device.
template <class T, class D = Cpu>
class MergeHistory {
 public:
  /// Whether clients know the first weights, from the seed; else each is sent them once.
  explicit MergeHistory(bool weights_known = true) : first_known_{weights_known ? 0 : Index{-1}} {}

  /// Records the factors that are about to be merged, of any rank, with the layer's own scale.
  void record(nn::Model<T, D>& model, const lowrank::Products<T, D>& products) {
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      auto& list = factors_[layer];
      const lowrank::Factors<T, D>& factors = products.at(layer);
      list.push_back({merges_, {to_host(factors.a), to_host(factors.b)}});
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

  /// Counts a merge that only the weight itself can tell of.
  void record_whole() {
    factors_.clear();
    ++merges_;
  }

  Index merges() const { return merges_; }

  /// Adds what the client lacks, per layer the cheaper of the weight and the missed merges' factors, and marks
  /// it as known.
  void catch_up(Index client, nn::Model<T, D>& model, io::Archive& archive) {
    Index& known = known_.try_emplace(client, first_known_).first->second;
    lowrank::for_each_weight<nn::Factored>(model, [&](const std::string& layer, nn::Factored<T, D>& weight) {
      if (known == merges_) return;
      const auto& list = factors_[layer];
      const bool complete = known >= 0 && !list.empty() && list.front().merge <= known;
      std::size_t missed = 0;
      for (const Record& record : list) missed += record.merge >= known ? bytes(record) : 0;
      if (!complete || bytes(weight.base().value()) <= missed) {
        archive.share(layer + ".weight", to_host(weight.base().value()));
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

  template <class Where>
  static std::size_t bytes(const Tensor<T, Where>& t) {
    return static_cast<std::size_t>(t.size()) * sizeof(T);
  }
  static std::size_t bytes(const Record& r) { return bytes(r.factors.a) + bytes(r.factors.b); }

  Index first_known_, merges_ = 0;
  std::map<std::string, std::vector<Record>> factors_;
  std::unordered_map<Index, Index> known_;
};

/// The client's side: brings the model's frozen weights up to the server's last merge. The model must know every
/// merge that the broadcast leaves out. Throws DataError and then changes nothing.
template <class T, class D>
void apply_missed_merges(const io::Archive& archive, nn::Model<T, D>& model) {
  const auto merges = detail::number<Index>(archive, "merges");
  std::vector<Index> ranks;  // of the server's factors, where the client may have others
  if (archive.metadata().contains("layer_ranks")) ranks = detail::get_ranks(archive, "layer_ranks");
  std::vector<Tensor<T, D>> weights;
  lowrank::for_each_weight<nn::Factored, nn::Nested>(model, [&](const std::string& layer, auto& weight) {
    Tensor<T, D> w = weight.base().value();
    const Index rank = weights.size() < ranks.size() ? ranks[weights.size()] : weight.rank();
    if (archive.contains(layer + ".weight"))
      w = to_device<D>(to_layout(archive.get<T>(layer + ".weight", w.shape()), w.layout()));
    Index first = merges;  // the missed merges are the last ones
    while (first > 0 && archive.contains(MergeHistory<T>::name(first - 1, layer, "lora_A"))) --first;
    for (Index k = first; k < merges; ++k) {
      const std::string name = MergeHistory<T>::name(k, layer, "lora_A");
      const Shape& sent = archive.raw(name).shape;
      require<DataError>(sent.rank() == w.rank(), "message: ", name, ": expected rank ", w.rank(),
                         " of a factor, got ", sent);
      const Shape a = lowrank::factor_shape(w.shape(), sent[0]), b{w.dim(0), sent[0]};
      w = lowrank_compose(w, to_device<D>(to_layout(archive.get<T>(name, a), w.layout())),
                          to_device<D>(archive.get<T>(MergeHistory<T>::name(k, layer, "lora_B"), b)),
                          weight.alpha() / static_cast<double>(rank));
    }
    weights.push_back(w);
  });
  std::size_t next = 0;
  lowrank::for_each_weight<nn::Factored, nn::Nested>(
      model, [&](const std::string&, auto& weight) { weight.base().set_value(weights[next++]); });
}

#ifdef LORU_COMPILED
extern template class MergeHistory<float>;
extern template void apply_missed_merges<float, Cpu>(const io::Archive&, nn::Model<float>&);
#endif

}  // namespace loru::fl
