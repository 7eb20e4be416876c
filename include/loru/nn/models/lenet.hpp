#pragma once
// LeNet-5 with ReLU and max-pooling.

#include <loru/nn/models/options.hpp>

namespace loru::inline LORU_ISA::nn {

/// conv1 5×5 (6, padding 2), relu, max-pool 2, conv2 5×5 (16), relu, max-pool 2, fc1 (120), relu, fc2 (84),
/// relu, fc3 (classes). Layers of LeCun et al. 1998, with the activations and pooling in use since.
template <class T, class D = Cpu>
Model<T, D> lenet(const ModelOptions& o = {}) {
  require<ShapeError>(o.height >= 12 && o.width >= 12, "lenet: expected images of at least 12 x 12, got ",
                      o.height, " x ", o.width);
  detail::Builder<T, D> b(o);
  Sequential<T, D> s;
  s.add("conv1", b.conv({.in = o.channels, .out = 6, .kernel = 5, .padding = 2}));
  s.add("relu1", ReLU<T, D>()).add("pool1", MaxPool2d<T, D>());
  s.add("conv2", b.conv({.in = 6, .out = 16, .kernel = 5}));
  s.add("relu2", ReLU<T, D>()).add("pool2", MaxPool2d<T, D>()).add("flatten", Flatten<T, D>());
  s.add("fc1", b.linear(16 * ((o.height / 2 - 4) / 2) * ((o.width / 2 - 4) / 2), 120))
      .add("relu3", ReLU<T, D>());
  s.add("fc2", b.linear(120, 84)).add("relu4", ReLU<T, D>());
  s.add("fc3", b.linear(84, o.classes));
  return s;
}

}  // namespace loru::inline LORU_ISA::nn
