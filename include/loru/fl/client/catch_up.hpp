#pragma once
// A client's frozen weights brought up to the server's last merge.

#include <loru/fl/message/merges.hpp>
#include <loru/lowrank/nested.hpp>
#include <loru/lowrank/resize.hpp>

namespace loru::inline LORU_ISA::fl {

/// Brings the model's frozen weights up to the server's last merge. The model must know every
/// merge that the broadcast leaves out. Throws DataError and then changes nothing.
template <class T, class D>
void apply_missed_merges(const io::Archive& archive, nn::Model<T, D>& model) {
  const auto merges = detail::number<Index>(archive, "merges");
  std::vector<Index> ranks;  // of the server's factors; the client's may be lower
  if (archive.metadata().contains("layer_ranks")) ranks = detail::get_ranks(archive, "layer_ranks");
  const std::size_t layers = lowrank::ranks(model).size();
  require<DataError>(ranks.empty() || ranks.size() == layers, "message: metadata 'layer_ranks': expected ",
                     layers, " ranks, got ", ranks.size());
  std::vector<Tensor<T, D>> weights;  // empty where nothing was missed
  lowrank::for_each_frozen(model, [&](const std::string& layer, auto& weight) {
    const Index rank = weights.size() < ranks.size() ? ranks[weights.size()] : weight.rank();
    const bool whole = archive.contains(nn::weight_name(layer));
    Index first = merges;  // the missed merges are the last ones
    while (first > 0 && archive.contains(merge_name(first - 1, layer, nn::Role::down))) --first;
    if (!whole && first == merges) {
      weights.emplace_back();
      return;
    }
    Tensor<T, D> w = whole ? to_device<D>(to_layout(archive.get<T>(nn::weight_name(layer), weight.shape()),
                                                    weight.base().layout()))
                           : weight.base().decoded();
    for (Index k = first; k < merges; ++k) {
      const std::string name = merge_name(k, layer, nn::Role::down);
      const Shape& sent = archive.raw(name).shape;
      require<DataError>(sent.rank() == w.rank(), "message: ", name, ": expected rank ", w.rank(),
                         " of a factor, got ", sent);
      const Shape a = lowrank::factor_shape(w.shape(), sent[0]), b{w.dim(0), sent[0]};
      const lowrank::Factors<T, D> f{to_device<D>(to_layout(archive.get<T>(name, a), w.layout())),
                                     to_device<D>(archive.get<T>(merge_name(k, layer, nn::Role::up), b))};
      w = lowrank::merged(weight, w, f, weight.alpha() / static_cast<double>(rank), k);
    }
    weights.push_back(w);
  });
  std::size_t next = 0;
  lowrank::for_each_frozen(model, [&](const std::string&, auto& weight) {
    if (const Tensor<T, D>& w = weights[next++]) weight.base().set_value(w);
  });
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_CATCH_UP(TEMPLATE, T) \
  TEMPLATE void apply_missed_merges<T, Cpu>(const io::Archive&, nn::Model<T>&);
#ifdef LORU_COMPILED
LORU_COMPILED_CATCH_UP(extern template, float)
#endif

}  // namespace loru::inline LORU_ISA::fl
