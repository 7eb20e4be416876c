// Layers and losses against PyTorch.

#include "golden/golden.hpp"

using namespace golden;

namespace {

const rng::Stream stream{1};

/// The same case for the function that the layer calls, which also takes kernels that are no squares.
template <class T>
void check_conv2d_function(const io::Archive& file, const ConvOptions& o) {
  const Layout layout = GENERATE(Layout::row_major, Layout::channels_last);
  const Variable<T> x(read<T>(file, "x", layout), true), w(read<T>(file, "weight", layout), true);
  Variable<T> b, y = conv2d(x, w, o);
  if (file.contains("bias")) b = Variable<T>(read<T>(file, "bias"), true), y = add_bias(y, b);
  compare(file, "y", y.value());
  y.backward(read<T>(file, "dy", layout));
  compare(file, "dx", x.gradient());
  compare(file, "d_weight", w.gradient());
  if (b) compare(file, "d_bias", b.gradient());
}

}  // namespace

TEMPLATE_TEST_CASE("golden: linear", "[golden]", float, double) {
  const auto file = load<TestType>(GENERATE(as<std::string>{}, "linear", "linear_without_bias"));
  const Shape w = file.raw("weight").shape;
  check_layer<TestType>(
      nn::Linear<TestType>({.in = w[1], .out = w[0], .bias = file.contains("bias")}, stream), file);
}

TEMPLATE_TEST_CASE("golden: conv2d", "[golden]", float, double) {
  const auto file = load<TestType>(GENERATE(
      as<std::string>{}, "conv2d", "conv2d_padding", "conv2d_stride", "conv2d_dilation", "conv2d_groups",
      "conv2d_depthwise", "conv2d_pointwise", "conv2d_shortcut", "conv2d_batch1", "conv2d_everything"));
  const ConvOptions o{integer(file, "stride"), integer(file, "padding"), integer(file, "dilation"),
                      integer(file, "groups")};
  check_conv2d_function<TestType>(file, o);
  const Shape w = file.raw("weight").shape;
  if (w[2] != w[3]) return;
  check_layer<TestType>(nn::Conv2d<TestType>({.in = w[1] * o.groups,
                                              .out = w[0],
                                              .kernel = w[2],
                                              .stride = o.stride,
                                              .padding = o.padding,
                                              .dilation = o.dilation,
                                              .groups = o.groups,
                                              .bias = file.contains("bias")},
                                             stream),
                        file);
}

TEMPLATE_TEST_CASE("golden: batch_norm", "[golden]", float, double) {
  const bool training = GENERATE(true, false);
  const auto file = load<TestType>(training ? "batch_norm_train" : "batch_norm_eval");
  const nn::BatchNorm2d<TestType> layer({.channels = file.raw("x").shape[1],
                                         .epsilon = number(file, "eps"),
                                         .momentum = number(file, "momentum")});
  check_layer<TestType>(layer, file, training);
}

TEMPLATE_TEST_CASE("golden: group_norm", "[golden]", float, double) {
  const auto file = load<TestType>("group_norm");
  const nn::GroupNorm<TestType> layer({.groups = integer(file, "groups"),
                                       .channels = file.raw("x").shape[1],
                                       .epsilon = number(file, "eps")});
  check_layer<TestType>(layer, file, true);
}

TEMPLATE_TEST_CASE("golden: activations", "[golden]", float, double) {
  check_layer<TestType>(nn::ReLU<TestType>(), load<TestType>("relu"));
  check_layer<TestType>(nn::GELU<TestType>(), load<TestType>("gelu"));
}

TEMPLATE_TEST_CASE("golden: pooling", "[golden]", float, double) {
  const auto largest = load<TestType>(GENERATE(as<std::string>{}, "max_pool2d", "max_pool2d_overlapping"));
  const PoolOptions o{integer(largest, "kernel"), integer(largest, "stride"), integer(largest, "padding")};
  check_layer<TestType>(nn::MaxPool2d<TestType>(o), largest);
  const auto mean =
      load<TestType>(GENERATE(as<std::string>{}, "adaptive_avg_pool2d", "adaptive_avg_pool2d_odd"));
  check_layer<TestType>(nn::AdaptiveAvgPool2d<TestType>(integer(mean, "height"), integer(mean, "width")),
                        mean);
}

TEMPLATE_TEST_CASE("golden: losses", "[golden]", float, double) {
  const auto labelled = load<TestType>("cross_entropy"), valued = load<TestType>("mse");
  const Variable<TestType> z(read<TestType>(labelled, "x"), true), x(read<TestType>(valued, "x"), true);
  const auto cross = cross_entropy(z, read_labels(labelled, "target"));
  const auto squared = mean_squared_error(x, read<TestType>(valued, "target"));
  cross.backward();
  squared.backward();
  compare(labelled, "loss", cross.value());
  compare(labelled, "dx", z.gradient());
  compare(valued, "loss", squared.value());
  compare(valued, "dx", x.gradient());
}
