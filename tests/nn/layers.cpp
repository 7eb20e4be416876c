#include <loru/nn/nn.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::ContainsSubstring;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

using V = Variable<double>;
const rng::Stream stream{4, rng::Purpose::init};

Shape out_shape(nn::Module<double>& layer, const Shape& in) {
  nn::Pass pass;
  return layer.forward(V(gaussian(in)), pass).shape();
}

std::vector<std::string> names(nn::Model<double> model) {
  std::vector<std::string> all;
  for (const auto& p : model.parameters()) all.push_back(p.name);
  for (const auto& b : model.buffers()) all.push_back(b.name);
  return all;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("layers: shapes") {
  nn::Linear<double> linear({.in = 5, .out = 3}, stream);
  CHECK(out_shape(linear, {2, 5}) == Shape{2, 3});
  nn::Conv2d<double> conv({.in = 4, .out = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 2}, stream);
  CHECK(out_shape(conv, {2, 4, 7, 5}) == Shape{2, 6, 4, 3});
  nn::Conv2d<double> dilated({.in = 1, .out = 2, .kernel = 3, .dilation = 2}, stream);
  CHECK(out_shape(dilated, {1, 1, 7, 6}) == Shape{1, 2, 3, 2});
  nn::BatchNorm2d<double> batch({.channels = 4});
  CHECK(out_shape(batch, {2, 4, 3, 3}) == Shape{2, 4, 3, 3});
  nn::GroupNorm<double> group({.groups = 2, .channels = 4});
  CHECK(out_shape(group, {2, 4, 3, 3}) == Shape{2, 4, 3, 3});
  nn::ReLU<double> relu;
  CHECK(out_shape(relu, {2, 3}) == Shape{2, 3});
  nn::GELU<double> gelu;
  CHECK(out_shape(gelu, {2, 3}) == Shape{2, 3});
  nn::MaxPool2d<double> pool;
  CHECK(out_shape(pool, {2, 3, 7, 6}) == Shape{2, 3, 3, 3});
  nn::AdaptiveAvgPool2d<double> mean(2, 1);
  CHECK(out_shape(mean, {2, 3, 7, 6}) == Shape{2, 3, 2, 1});
  nn::Flatten<double> flatten;
  CHECK(out_shape(flatten, {2, 3, 4, 5}) == Shape{2, 60});
  nn::Dropout<double> dropout(0.5);
  CHECK(out_shape(dropout, {2, 3}) == Shape{2, 3});
}

TEST_CASE("layers: names of parameters and buffers") {
  nn::Sequential<double> s;
  s.add("fc", nn::Linear<double>({.in = 2, .out = 3}, stream))
      .add("conv", nn::Conv2d<double>({.in = 1, .out = 1, .bias = false}, stream))
      .add("bn", nn::BatchNorm2d<double>({.channels = 1}))
      .add("gn", nn::GroupNorm<double>({}))
      .add("act", nn::ReLU<double>());
  CHECK(names(nn::Model<double>(std::move(s))) == Strings{"fc.weight", "fc.bias", "conv.weight", "bn.weight",
                                                          "bn.bias", "gn.weight", "gn.bias",
                                                          "bn.running_mean", "bn.running_var"});
}

TEST_CASE("layers: initial values stay within their bounds and depend on the stream alone") {
  const auto largest = [](const Tensor<double>& t) {
    double m = 0.0;
    for (double x : t.span()) m = std::max(m, std::abs(x));
    return m;
  };
  const Shape shape{40, 10, 3, 3};
  const double kaiming = 1.0 / std::sqrt(90.0), xavier = std::sqrt(6.0 / (90.0 + 360.0));
  CHECK(largest(nn::initial_weight<double>(shape, nn::Init::kaiming, stream)) ==
        Approx(kaiming).epsilon(0.01));
  CHECK(largest(nn::initial_weight<double>(shape, nn::Init::xavier, stream)) == Approx(xavier).epsilon(0.01));
  CHECK(largest(nn::initial_bias<double>({400, 10}, stream)) == Approx(1.0 / std::sqrt(10.0)).epsilon(0.02));
  CHECK(largest(nn::initial_weight<double>(shape, nn::Init::zero, stream)) == 0.0);
  CHECK(largest(nn::initial_bias<double>({400, 10}, stream, nn::Init::zero)) == 0.0);
  CHECK(nn::initial_weight<double>(shape, nn::Init::kaiming, stream).layout() == Layout::channels_last);
  CHECK(same_bits(nn::initial_weight<double>(shape, nn::Init::kaiming, stream),
                  nn::uniform<double>(shape, kaiming, stream)));  // drawn in logical order
}

TEST_CASE("layers: dropout in training, the identity elsewhere") {
  nn::Dropout<double> layer(0.3);
  Tensor<double> ones(Shape{20000});
  fill(ones, 1.0);
  const V x(ones);
  nn::Pass eval;
  CHECK(layer.forward(x, eval).value().data() == ones.data());

  const auto masks = [&](std::uint64_t seed) {
    nn::Pass pass = nn::Pass::train(rng::Stream{seed, rng::Purpose::dropout});
    return std::pair{layer.forward(x, pass).value(), layer.forward(x, pass).value()};
  };
  const auto [first, second] = masks(1);
  CHECK(sum(first).data()[0] / 20000.0 == Approx(1.0).margin(0.02));  // the mean is kept
  CHECK_FALSE(same_bits(first, second));                              // two layers of a pass differ
  CHECK(same_bits(masks(1).first, first));                            // a pass repeats
  CHECK(same_bits(masks(1).second, second));
  CHECK_FALSE(same_bits(masks(2).first, first));
  CHECK_THROWS_WITH(nn::Dropout<double>(1.0), "dropout: expected 0 <= p < 1, got 1");
}

TEST_CASE("layers: running statistics of batch normalisation") {
  const Index n = 3, c = 2, pixels = 4;
  const Tensor<double> x = gaussian({n, c, 2, 2}, 1);
  nn::Model<double> model(nn::BatchNorm2d<double>({.channels = c, .momentum = 0.25}));
  const auto buffer = [&](std::size_t i) { return model.buffers()[i].value; };
  const Moments<double> batch = batch_moments(x, 0.0);

  SECTION("training moves them, with the unbiased variance") {
    model(V(x), nn::Pass::train());
    for (Index j = 0; j < c; ++j) {
      CHECK(buffer(0).data()[j] == Approx(0.25 * batch.mean.data()[j]));
      CHECK(buffer(1).data()[j] ==
            Approx(0.75 + 0.25 * batch.variance.data()[j] * n * pixels / (n * pixels - 1.0)));
    }
  }
  SECTION("evaluation uses and keeps them; so does training that is told to") {
    model(V(x), nn::Pass::train());
    const Tensor<double> mean = clone(buffer(0)), variance = clone(buffer(1));
    const Tensor<double> y = to_layout(model(V(x)).value(), Layout::row_major);
    for (Index i = 0; i < x.size(); ++i) {
      const Index j = i / pixels % c;
      CHECK(y.data()[i] ==
            Approx((x.data()[i] - mean.data()[j]) / std::sqrt(variance.data()[j] + 1e-5)).margin(1e-12));
    }
    nn::Pass still = nn::Pass::train();
    still.update_statistics = false;
    model(V(gaussian({n, c, 2, 2}, 9)), still);
    CHECK(same_bits(buffer(0), mean));
    CHECK(same_bits(buffer(1), variance));
  }
  SECTION("one value a channel does not divide by zero") {
    model(V(gaussian({1, c, 1, 1})), nn::Pass::train());
    CHECK(all_finite(buffer(1)));
  }
  SECTION("they do not change under a copy") {
    nn::Model<double> copy = model;
    model(V(x), nn::Pass::train());
    CHECK(copy.buffers()[0].value.data()[0] == 0.0);
  }
}

TEST_CASE("layers: residual blocks") {
  const auto conv = [](Index in, Index out) {
    return nn::Conv2d<double>({.in = in, .out = out, .kernel = 1, .bias = false}, stream);
  };
  const V x(gaussian({2, 3, 2, 2}));
  nn::Sequential<double> body, shortcut;
  body.add("conv", conv(3, 3));
  nn::Sequential<double> alone = body;
  nn::Residual<double> identity(body, {});
  nn::Pass pass;
  CHECK(close(identity.forward(x, pass).value(), relu(add(alone.forward(x, pass), x)).value()));

  nn::Sequential<double> wide, projection;
  wide.add("conv", conv(3, 5));
  projection.add("0", conv(3, 5));
  CHECK(names(nn::Residual<double>(wide, projection)) == Strings{"conv.weight", "downsample.0.weight"});
  nn::Residual<double> unfit(wide, {});
  CHECK_THROWS_AS(unfit.forward(x, pass), ShapeError);
}

namespace {

/// A module as somebody else would write it: it knows nothing of forward_relu.
template <class M>
class Plain final : public nn::Module<double> {
 public:
  explicit Plain(M module) : module_{std::move(module)} {}
  V forward(const V& x, nn::Pass& pass) override { return module_.forward(x, pass); }
  void visit(const nn::Visitor<double>& visitor, const std::string& prefix) override {
    module_.visit(visitor, prefix);
  }
  std::unique_ptr<nn::Module<double>> clone() const override { return std::make_unique<Plain>(*this); }

 private:
  M module_;
};

/// Values, gradients and statistics of layer, ReLU and of relu(layer + shortcut), in training.
template <class M>
std::vector<Tensor<double>> with_relu(const M& layer, const Tensor<double>& input) {
  std::vector<Tensor<double>> all;
  const auto run = [&](auto make) {
    const nn::Model<double> shared(make());
    nn::Model<double> model = shared;  // with parameters of its own
    const V x(input, true);
    const V y = model(x, nn::Pass::train());
    y.backward(gaussian(y.shape(), 9, y.value().layout()));
    all.insert(all.end(), {y.value(), x.gradient()});
    for (const auto& p : model.parameters()) all.push_back(p.value.gradient());
    for (const auto& b : model.buffers()) all.push_back(b.value);
    all.push_back(model(x).value());
  };
  run([&] { return nn::Sequential<double>().add("layer", layer).add("relu", nn::ReLU<double>()); });
  run([&] { return nn::Residual<double>(nn::Sequential<double>().add("layer", layer), {}); });
  return all;
}

template <class M>
void check_with_relu(const M& layer, const Tensor<double>& input) {
  const auto got = with_relu(layer, input), expected = with_relu(Plain<M>(layer), input);
  REQUIRE(got.size() == expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO("result " << i);
    CHECK(loru_test::difference(got[i], expected[i]) < 1e-13);
  }
}

}  // namespace

TEST_CASE("layers: a ReLU that follows is fused and changes nothing") {
  for (Index c : {1, 3, 16}) {
    INFO(c << " channels");
    const Tensor<double> images = gaussian({3, c, 4, 3}), rows = gaussian({4, c});
    check_with_relu(nn::BatchNorm2d<double>({.channels = c}), images);
    check_with_relu(nn::GroupNorm<double>({.groups = 1, .channels = c}), images);
    check_with_relu(nn::MaxPool2d<double>({.kernel = 1, .stride = 1}), images);
    for (bool bias : {false, true}) {
      check_with_relu(
          nn::Conv2d<double>({.in = c, .out = c, .kernel = 3, .padding = 1, .bias = bias}, stream), images);
      check_with_relu(nn::Linear<double>({.in = c, .out = c, .bias = bias}, stream), rows);
    }
  }
  nn::Pass pass;
  const V x(gaussian({2, 3}));
  nn::Sequential<double> twice;
  twice.add("a", nn::ReLU<double>()).add("b", nn::ReLU<double>());
  CHECK(same_bits(twice.forward(x, pass).value(), relu(x.value())));
  CHECK(same_bits(nn::Sequential<double>().forward_relu(x, {}, pass).value(), relu(x.value())));
}

TEST_CASE("layers: what does not fit is refused") {
  nn::Pass pass;
  nn::Linear<double> linear({.in = 5, .out = 3}, stream);
  CHECK_THROWS_WITH(linear.forward(V(gaussian({2, 4})), pass), "linear: expected input (M, 5), got (2, 4)");
  CHECK_THROWS_AS(linear.forward(V(gaussian({2, 5, 1, 1})), pass), ShapeError);
  CHECK_THROWS_WITH(nn::Conv2d<double>({.in = 3, .out = 4, .groups = 2}, stream),
                    "conv2d: 2 groups do not divide 3 and 4 channels");
  CHECK_THROWS_WITH(nn::GroupNorm<double>({.groups = 4, .channels = 6}),
                    "group_norm: 4 groups do not divide 6 channels");
  nn::GroupNorm<double> group({.groups = 2, .channels = 4});
  CHECK_THROWS_AS(group.forward(V(gaussian({1, 6, 2, 2})), pass), ShapeError);
  nn::BatchNorm2d<double> batch({.channels = 4});
  CHECK_THROWS_AS(batch.forward(V(gaussian({1, 6, 2, 2})), pass), ShapeError);
  nn::Pass training = nn::Pass::train();
  CHECK_THROWS_AS(batch.forward(V(gaussian({1, 6, 2, 2})), training), ShapeError);
  const V x(gaussian({1, 4, 2, 2}));  // the statistics are as they were
  CHECK(same_bits(batch.forward(x, pass).value(),
                  nn::BatchNorm2d<double>({.channels = 4}).forward(x, pass).value()));
}
