#pragma once
// Residual networks for small images.

#include <array>

#include <loru/nn/models/options.hpp>

namespace loru::inline LORU_ISA::nn {

namespace detail {

/// conv1 3×3 (stride), norm, relu, conv2 3×3, norm; shortcut 1×1 (stride) and norm where shapes change.
template <class T, class D>
Residual<T, D> basic_block(Builder<T, D>& b, Index in, Index out, Index stride) {
  Sequential<T, D> body, shortcut;
  body.add("conv1",
           b.conv({.in = in, .out = out, .kernel = 3, .stride = stride, .padding = 1, .bias = false}));
  b.add_norm(body, "bn1", out);
  body.add("relu", ReLU<T, D>());
  body.add("conv2", b.conv({.in = out, .out = out, .kernel = 3, .padding = 1, .bias = false}));
  b.add_norm(body, "bn2", out);
  if (stride != 1 || in != out) {
    shortcut.add("0", b.conv({.in = in, .out = out, .kernel = 1, .stride = stride, .bias = false}));
    b.add_norm(shortcut, "1", out);
  }
  return {std::move(body), std::move(shortcut)};
}

}  // namespace detail

/// Stem conv1 3×3 (64) without max-pooling, stages layer1..layer4 of 64, 128, 256 and 512 channels with the
/// given numbers of basic blocks, the last three beginning with stride 2, mean over the image, fc. No
/// convolution has a bias. Parameters are named as in torchvision. Source: He et al., arXiv 1512.03385.
template <class T, class D = Cpu>
Model<T, D> resnet(const std::array<Index, 4>& blocks, const ModelOptions& o = {}) {
  check_fields(o, "resnet");
  detail::Builder<T, D> b(o);
  Sequential<T, D> s;
  Index in = 64 / o.narrow;
  s.add("conv1", b.conv({.in = o.channels, .out = in, .kernel = 3, .padding = 1, .bias = false}));
  b.add_norm(s, "bn1", in);
  s.add("relu", ReLU<T, D>());
  for (Index stage = 0; stage < 4; ++stage) {
    Sequential<T, D> layer;
    const Index out = (Index{64} << stage) / o.narrow;
    for (Index i = 0; i < blocks[static_cast<std::size_t>(stage)]; ++i, in = out)
      layer.add(std::to_string(i), detail::basic_block(b, in, out, stage > 0 && i == 0 ? 2 : 1));
    s.add("layer" + std::to_string(stage + 1), std::move(layer));
  }
  s.add("avgpool", AdaptiveAvgPool2d<T, D>())
      .add("flatten", Flatten<T, D>())
      .add("fc", b.linear(in, o.classes));
  return s;
}

/// One block a stage.
template <class T, class D = Cpu>
Model<T, D> resnet10(const ModelOptions& o = {}) {
  return resnet<T, D>({1, 1, 1, 1}, o);
}

/// Two blocks a stage.
template <class T, class D = Cpu>
Model<T, D> resnet18(const ModelOptions& o = {}) {
  return resnet<T, D>({2, 2, 2, 2}, o);
}

}  // namespace loru::inline LORU_ISA::nn
