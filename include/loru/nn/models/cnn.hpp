#pragma once
// The convolutional network of the FedAvg paper.

#include <loru/nn/models/options.hpp>

namespace loru::inline LORU_ISA::nn {

/// conv1 5×5 (32), relu, max-pool 2, conv2 5×5 (64), relu, max-pool 2, fc1 (512), relu, fc2 (classes);
/// padding 2. 1,663,370 parameters for 1×28×28 and 10 classes. Source: McMahan et al., arXiv 1602.05629,
/// section 3.
template <class T, class D = Cpu>
Model<T, D> cnn(const ModelOptions& o = {}) {
  detail::Builder<T, D> b(o);
  Sequential<T, D> s;
  s.add("conv1", b.conv({.in = o.channels, .out = 32, .kernel = 5, .padding = 2}));
  s.add("relu1", ReLU<T, D>()).add("pool1", MaxPool2d<T, D>());
  s.add("conv2", b.conv({.in = 32, .out = 64, .kernel = 5, .padding = 2}));
  s.add("relu2", ReLU<T, D>()).add("pool2", MaxPool2d<T, D>()).add("flatten", Flatten<T, D>());
  s.add("fc1", b.linear(64 * (o.height / 4) * (o.width / 4), 512)).add("relu3", ReLU<T, D>());
  s.add("fc2", b.linear(512, o.classes));
  return s;
}

}  // namespace loru::inline LORU_ISA::nn
