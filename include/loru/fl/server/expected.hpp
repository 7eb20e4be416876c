#pragma once
// The tensors that an update must hold.

#include <algorithm>
#include <map>
#include <vector>

#include <loru/fl/any_algorithm.hpp>

namespace loru::inline LORU_ISA::fl {

/// Names and shapes of the tensors that clients send, by their ranks.
template <class T, class D>
class ExpectedUpdates {
 public:
  /// Throws DataError, without the client's name, unless the update has the tensors of its client's model
  /// that are sent in the round, and the extra tensors of the algorithm. `ranks` are those that the client
  /// was sent; empty if all clients have the model's.
  void check(const Update& update, nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm, Index round,
             std::vector<Index> ranks);

  /// The bytes of the largest update that a client can send: that of a client of the model's ranks, uncoded,
  /// with room for its header.
  Index most_bytes(nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm);

  /// Lists of ranks whose tensors are known by now.
  std::size_t kept() const { return contents_.size(); }

 private:
  using Shapes = std::vector<nn::Named<Shape>>;
  struct Contents {
    Shapes state, extra;
  };

  const Contents& of(nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm,
                     const std::vector<Index>& ranks);

  static Contents contents(nn::Model<T, D> model, const AnyAlgorithm<T, D>& algorithm,
                           const std::vector<Index>& ranks);

  /// Where clients prune themselves, they choose the ranks: no more than so many are kept.
  static constexpr std::size_t most_kept = 64;

  std::map<std::vector<Index>, Contents> contents_;
};

// Outside the class: what is defined inside is inline, and users of loru::compiled would compile it.

template <class T, class D>
void ExpectedUpdates<T, D>::check(const Update& update, nn::Model<T, D>& model,
                                  const AnyAlgorithm<T, D>& algorithm, Index round,
                                  std::vector<Index> ranks) {
  if (algorithm.kept_ranks) ranks = algorithm.kept_ranks(model, update.state, std::move(ranks));
  const Contents& all = of(model, algorithm, ranks);
  const Selection sent = algorithm.sent(round);
  Shapes expected = all.extra;
  for (const auto& tensor : all.state)
    if (chosen(sent, tensor.id())) expected.push_back(tensor);
  require<DataError>(update.state.size() == expected.size(), "expected ", expected.size(), " tensors, got ",
                     update.state.size());
  for (const auto& [name, shape, role] : expected) {
    const io::RawTensor& raw = update.state.raw(name);
    require<DataError>(raw.dtype == io::dtype_of<T> && raw.shape == shape, name, ": expected ",
                       io::to_string(io::dtype_of<T>), ' ', shape, ", got ", io::to_string(raw.dtype), ' ',
                       raw.shape);
  }
}

template <class T, class D>
Index ExpectedUpdates<T, D>::most_bytes(nn::Model<T, D>& model, const AnyAlgorithm<T, D>& algorithm) {
  constexpr Index metadata = 4096, entry = 256;  // without names
  const Contents& all = of(model, algorithm, {});
  Index bytes = metadata;
  for (const Shapes* tensors : {&all.state, &all.extra})
    for (const auto& [name, shape, role] : *tensors)  // a coded tensor has two entries
      bytes += shape.size() * static_cast<Index>(sizeof(T)) + 2 * (entry + std::ssize(name));
  return bytes;
}

template <class T, class D>
const typename ExpectedUpdates<T, D>::Contents& ExpectedUpdates<T, D>::of(nn::Model<T, D>& model,
                                                                          const AnyAlgorithm<T, D>& algorithm,
                                                                          const std::vector<Index>& ranks) {
  if (const auto kept = contents_.find(ranks); kept != contents_.end()) return kept->second;
  Contents made = contents(model, algorithm, ranks);
  if (contents_.size() >= most_kept) contents_.clear();
  return contents_.emplace(ranks, std::move(made)).first->second;
}

template <class T, class D>
typename ExpectedUpdates<T, D>::Contents ExpectedUpdates<T, D>::contents(nn::Model<T, D> model,
                                                                         const AnyAlgorithm<T, D>& algorithm,
                                                                         const std::vector<Index>& ranks) {
  Contents all;
  if (!ranks.empty()) algorithm.shape(model, ranks);
  for (const auto& [name, tensor, role] : model.state()) all.state.push_back({name, tensor.shape(), role});
  if (algorithm.also_sent) all.extra = algorithm.also_sent(model);
  return all;
}

}  // namespace loru::inline LORU_ISA::fl
