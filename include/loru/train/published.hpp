#pragma once
// A model with published weights.

#include <utility>

#include <loru/io/pretrained/weights.hpp>
#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::train {

/// Sets the parameters of the tensors' names. Those that are kept in blocks become constants in blocks, and
/// tensors on a device that keeps none. Throws DataError for a tensor that the model does not have or has in
/// another shape, and for a parameter that was not drawn and is not among them.
template <class D>
void set_published(nn::Model<float, D>& model, io::Pretrained published) {
  const std::size_t expected = published.tensors.size() + published.blocks.size();
  const std::string origin = published.tensors.origin();
  std::size_t set = 0;
  model.visit({.parameter = [&](const std::string& name, Variable<float, D>& v) {
    const auto blocks = published.blocks.find(name);
    if (blocks == published.blocks.end() && !published.tensors.contains(name)) {
      require<DataError>(v.blocks() || v.value(), origin, ": expected a tensor ", name, ", got none");
      return;
    }
    ++set;
    if (blocks == published.blocks.end()) {
      v.set_value(to_device<D>(published.tensors.get<float>(name, v.shape())));
      published.tensors.erase(name);  // its bytes are there twice no longer than needed
      return;
    }
    require<DataError>(blocks->second.shape == v.shape(), origin, ": tensor ", name, ": expected shape ",
                       v.shape(), ", got ", blocks->second.shape);
    if constexpr (keeps_blocks<float, D>)
      v = Variable<float, D>(blocks->second);
    else
      v.set_value(to_device<D>(decoded(blocks->second)));
  }});
  require<DataError>(set == expected, origin, ": expected the ", set, " tensors of the model, got ",
                     expected);
}

}  // namespace loru::inline LORU_ISA::train
