#include <loru/autograd/autograd.hpp>

#include "support/catch.hpp"
#include "support/gradients.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::check_gradients;
using loru_test::gaussian;
using loru_test::labels;

namespace {

using loru_test::Inputs, loru_test::V;

constexpr Layout layouts[] = {Layout::row_major, Layout::channels_last};

}  // namespace

TEST_CASE("gradients: gradcheck sees a wrong one") {
  const auto wrong = [](Inputs& v) {
    return V("wrong", sum(v[0].value()), {v[0]},
             [x = v[0]](const Tensor<double>&) { x.accumulate(gaussian(x.shape(), 4)); });
  };
  CHECK(gradcheck(wrong, {V(gaussian({3}), true)}) > 0.1);
}

TEST_CASE("gradients: arithmetic") {
  const Tensor<double> a = gaussian({3, 5}, 1), b = gaussian({3, 5}, 2);
  check_gradients({a, b}, [](Inputs& v) { return add(v[0], v[1]); });
  check_gradients({a, b}, [](Inputs& v) { return multiply(v[0], v[1]); });
  check_gradients({gaussian({1, 2, 3, 3}, 1), gaussian({1, 2, 3, 3}, 2, Layout::channels_last)},
                  [](Inputs& v) { return add(v[0], v[1]); });
  check_gradients({a}, [](Inputs& v) { return multiply(v[0], v[0]); });
  check_gradients({a}, [](Inputs& v) { return scale(v[0], -1.5); });
  check_gradients({a}, [](Inputs& v) { return multiply(sum(v[0]), sum(v[0])); });
  for (Layout layout : layouts)
    check_gradients({gaussian({1, 3, 2, 5}, 1, layout)}, [](Inputs& v) { return sum(v[0]); });
}

TEST_CASE("gradients: activations") {
  const Tensor<double> x = gaussian({3, 7});
  check_gradients({x}, [](Inputs& v) { return relu(v[0]); });
  check_gradients({x}, [](Inputs& v) { return gelu(v[0]); });
  check_gradients({x}, [](Inputs& v) { return dropout(v[0], 0.3, rng::Stream(2)); });
}

TEST_CASE("gradients: products and biases") {
  check_gradients({gaussian({3, 5}, 1), gaussian({5, 2}, 2)}, [](Inputs& v) { return matmul(v[0], v[1]); });
  check_gradients({gaussian({1, 5}, 1), gaussian({2, 5}, 2)}, [](Inputs& v) { return linear(v[0], v[1]); });
  check_gradients({gaussian({3, 4}, 1), gaussian({4}, 2)}, [](Inputs& v) { return add_bias(v[0], v[1]); });
  check_gradients({gaussian({3, 5}, 1), gaussian({4, 5}, 2), gaussian({4}, 3)},
                  [](Inputs& v) { return add_bias(linear(v[0], v[1]), v[2]); });
  for (Layout layout : layouts)
    check_gradients({gaussian({2, 3, 3, 2}, 1, layout), gaussian({3}, 2)},
                    [](Inputs& v) { return add_bias(v[0], v[1]); });
}

TEST_CASE("gradients: reshapes") {
  for (Layout layout : layouts) {
    check_gradients({gaussian({2, 3, 2, 5}, 1, layout)}, [](Inputs& v) { return flatten(v[0]); });
    check_gradients({gaussian({1, 3, 2, 2}, 1, layout)}, [](Inputs& v) { return reshape(v[0], {2, 6}); });
  }
  check_gradients({gaussian({2, 6})}, [](Inputs& v) { return relu(reshape(v[0], {1, 3, 2, 2})); });
}

TEST_CASE("gradients: convolutions") {
  struct Case {
    Shape x, w;
    ConvOptions o;
  };
  const Case c = GENERATE(Case{{2, 3, 5, 4}, {2, 3, 3, 3}, {.padding = 1}},
                          Case{{1, 2, 7, 5}, {3, 2, 3, 2}, {.stride = 2}},
                          Case{{2, 2, 7, 6}, {2, 2, 3, 3}, {.stride = 2, .padding = 2, .dilation = 2}},
                          Case{{1, 4, 5, 5}, {6, 2, 3, 3}, {.padding = 1, .groups = 2}},
                          Case{{2, 3, 4, 3}, {3, 1, 3, 3}, {.stride = 2, .padding = 1, .groups = 3}},
                          Case{{2, 3, 3, 4}, {4, 3, 1, 1}, {}}, Case{{1, 1, 1, 1}, {1, 1, 1, 1}, {}});
  for (Layout layout : layouts)
    check_gradients({gaussian(c.x, 1, layout), gaussian(c.w, 2, layout)},
                    [&](Inputs& v) { return conv2d(v[0], v[1], c.o); });
}

TEST_CASE("gradients: pooling") {
  for (Layout layout : layouts) {
    const Tensor<double> x = gaussian({2, 3, 7, 5}, 1, layout);
    check_gradients({x}, [](Inputs& v) { return max_pool2d(v[0], {}); });
    check_gradients({x}, [](Inputs& v) { return max_pool2d(v[0], {3, 2, 1}); });
    check_gradients({x}, [](Inputs& v) { return adaptive_avg_pool2d(v[0], 1, 1); });
    check_gradients({x}, [](Inputs& v) { return adaptive_avg_pool2d(v[0], 3, 4); });
  }
}

TEST_CASE("gradients: norms and biases, with sums and ReLU") {
  const Shape shape = GENERATE(Shape{3, 4, 2, 3}, Shape{2, 4, 1, 1}, Shape{1, 4, 3, 3});
  const bool with_relu = GENERATE(false, true);
  const Tensor<double> gamma = gaussian({4}, 2), beta = gaussian({4}, 3);
  const Moments<double> constant = batch_moments(gaussian(Shape{5, 4, 2, 2}, 7), 0.1);
  for (Layout layout : layouts) {
    const Tensor<double> x = gaussian(shape, 1, layout), r = gaussian(shape, 6, layout);
    for (Index groups : {0, 1, 2}) {
      INFO(groups << " groups");
      const auto norm = [&](Inputs& v, const V& residual) {
        const auto moments =
            groups == 0 ? batch_moments(v[0].value(), 0.1) : group_moments(v[0].value(), groups, 0.1);
        return normalise(v[0], moments, v[1], v[2], false, {with_relu, residual});
      };
      check_gradients({x, gamma, beta}, [&](Inputs& v) { return norm(v, V()); });
      check_gradients({x, gamma, beta, r}, [&](Inputs& v) { return norm(v, v[3]); });
    }
    const auto fixed = [&](Inputs& v, const V& residual) {
      return normalise(v[0], constant, v[1], v[2], true, {with_relu, residual});
    };
    check_gradients({x, gamma, beta}, [&](Inputs& v) { return fixed(v, V()); });
    check_gradients({x, gamma, beta, r}, [&](Inputs& v) { return fixed(v, v[3]); });
    check_gradients({x, gamma, beta},
                    [&](Inputs& v) { return fixed(v, v[0]); });  // the input is its own residual
    check_gradients({x, gamma}, [&](Inputs& v) { return add_bias(v[0], v[1], {.relu = with_relu}); });
    check_gradients({x, gamma, r}, [&](Inputs& v) { return add_bias(v[0], v[1], {with_relu, v[2]}); });
    check_gradients({x, r}, [](Inputs& v) { return add_relu(v[0], v[1]); });
  }
  check_gradients({gaussian({3, 4}, 1), gaussian({5, 4}, 2), gaussian({5}, 3)},
                  [&](Inputs& v) { return add_bias(linear(v[0], v[1]), v[2], {.relu = with_relu}); });
}

TEST_CASE("gradients: losses") {
  for (Index rows : {1, 5}) {
    const Tensor<std::int32_t> y = labels(rows, 3);
    check_gradients({gaussian({rows, 3})}, [&](Inputs& v) { return cross_entropy(v[0], y); });
    const Tensor<double> target = gaussian({rows, 3}, 5);
    check_gradients({gaussian({rows, 3})}, [&](Inputs& v) { return mean_squared_error(v[0], target); });
    check_gradients({gaussian({rows, 3})}, [&](Inputs& v) { return binary_cross_entropy(v[0], target); });
  }
}

TEST_CASE("gradients: low-rank layers in all their graphs") {
  const Plan plan = GENERATE(Plan::factored, Plan::composed, Plan::composed_full);
  const Index r = GENERATE(1, 3);
  INFO(to_string(plan) << ", rank " << r);
  const auto frozen = [](const Tensor<double>& w) { return V(w); };

  SECTION("compose") {
    check_gradients({gaussian({4, 5}, 1), gaussian({r, 5}, 2), gaussian({4, r}, 3)},
                    [](Inputs& v) { return lowrank_compose(v[0], v[1], v[2], 0.7); });
  }
  SECTION("linear") {
    const Tensor<double> x = gaussian({3, 5}, 4), w = gaussian({4, 5}, 1), a = gaussian({r, 5}, 2),
                         b = gaussian({4, r}, 3);
    check_gradients({x, a, b},
                    [&](Inputs& v) { return lowrank_linear(v[0], frozen(w), v[1], v[2], 0.7, plan); });
    check_gradients({a, b},
                    [&](Inputs& v) { return lowrank_linear(frozen(x), frozen(w), v[0], v[1], 0.7, plan); });
    check_gradients({x, w, a, b},
                    [&](Inputs& v) { return lowrank_linear(v[0], v[1], v[2], v[3], 0.7, plan); });
  }
  SECTION("convolution") {
    const ConvOptions o = GENERATE(ConvOptions{}, ConvOptions{.stride = 2, .padding = 1, .dilation = 2});
    const Layout layout = GENERATE(Layout::row_major, Layout::channels_last);
    const Tensor<double> x = gaussian({2, 2, 6, 5}, 4, layout), w = gaussian({4, 2, 3, 3}, 1, layout),
                         a = gaussian({r, 2, 3, 3}, 2, layout), b = gaussian({4, r}, 3);
    check_gradients({x, a, b},
                    [&](Inputs& v) { return lowrank_conv2d(v[0], frozen(w), v[1], v[2], 0.7, o, plan); });
    check_gradients({x, w, a, b},
                    [&](Inputs& v) { return lowrank_conv2d(v[0], v[1], v[2], v[3], 0.7, o, plan); });
  }
}

TEST_CASE("gradients: the graphs of a low-rank layer agree") {
  const V x(gaussian({2, 3, 6, 6}, 1), true), w(gaussian({4, 3, 3, 3}, 2));
  const Tensor<double> seed = gaussian({2, 4, 6, 6}, 5);
  std::vector<std::vector<Tensor<double>>> results;
  for (Plan plan : {Plan::factored, Plan::composed, Plan::composed_full}) {
    V in(x.value(), true), a(gaussian({2, 3, 3, 3}, 3), true), b(gaussian({4, 2}, 4), true);
    const V y = lowrank_conv2d(in, w, a, b, 0.5, {.padding = 1}, plan);
    y.backward(seed);
    results.push_back({y.value(), in.gradient(), a.gradient(), b.gradient()});
  }
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(loru_test::close(results[1][i], results[0][i]));
    CHECK(loru_test::close(results[2][i], results[0][i]));
  }
  CHECK_THROWS_WITH(lowrank_conv2d(x, w, V(gaussian({2, 3, 3, 3})), V(gaussian({4, 2})), 1.0, {.groups = 3},
                                   Plan::factored),
                    "lowrank_conv2d: expected one group, got 3");
}
