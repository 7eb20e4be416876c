#include <loru/autograd/autograd.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;

namespace {

template <class T>
Tensor<T> random(const Shape& shape, std::uint64_t seed) {
  return gaussian<T>(shape, seed, shape.rank() == 4 ? Layout::channels_last : Layout::row_major);
}

/// y, dA, dB and, if asked for, dx of a layer in one plan.
template <class T, class F>
std::vector<Tensor<T>> results(const Shape& x_shape, const Shape& w, Index r, bool input_gradient, F layer) {
  const Shape a_shape = w.rank() == 4 ? Shape{r, w[1], w[2], w[3]} : Shape{r, w[1]};
  const Variable<T> x(random<T>(x_shape, 1), input_gradient), a(random<T>(a_shape, 2), true),
      b(random<T>({w[0], r}, 3), true);
  const Variable<T> y = layer(x, Variable<T>(random<T>(w, 4)), a, b);
  y.backward(random<T>(y.shape(), 5));
  CHECK(static_cast<bool>(x.gradient()) == input_gradient);
  std::vector<Tensor<T>> all{y.value(), a.gradient(), b.gradient()};
  if (input_gradient) all.push_back(x.gradient());
  return all;
}

template <class T, class F>
void check_plans(const Shape& x, const Shape& w, Index r, bool input_gradient, F layer) {
  const auto of = [&](Plan plan) {
    return results<T>(x, w, r, input_gradient, [&](const auto&... inputs) { return layer(inputs..., plan); });
  };
  const auto expected = of(Plan::factored);
  for (Plan plan : {Plan::composed, Plan::composed_full}) {
    const auto got = of(plan);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO(to_string(plan) << ": " << (std::array{"y", "dA", "dB", "dx"}[i]));
      CHECK(close(got[i], expected[i]));
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("graphs: every plan of a dense layer gives the same", "", float, double) {
  const Index r = GENERATE(1, 5, 16, 33), rows = GENERATE(1, 37);
  const bool input_gradient = GENERATE(true, false);
  CAPTURE(r, rows, input_gradient);
  check_plans<TestType>({rows, 45}, {35, 45}, r, input_gradient,
                        [](const auto& x, const auto& w, const auto& a, const auto& b, Plan plan) {
                          return lowrank_linear(x, w, a, b, 0.7, plan);
                        });
}

TEMPLATE_TEST_CASE("graphs: every plan of a convolution gives the same", "", float, double) {
  struct Case {
    Shape x, w;
    ConvOptions o;
  };
  const Case c = GENERATE(
      Case{{2, 9, 9, 7}, {17, 9, 3, 3}, {.padding = 1}},
      Case{{3, 16, 9, 11}, {24, 16, 3, 3}, {.stride = 2, .padding = 1}},
      Case{{2, 12, 9, 9}, {20, 12, 5, 5}, {.padding = 2}}, Case{{3, 18, 5, 7}, {11, 18, 1, 1}, {}},
      Case{{3, 18, 7, 7}, {11, 18, 1, 1}, {.stride = 2}}, Case{{3, 10, 5, 5}, {11, 10, 1, 1}, {.padding = 1}},
      Case{{2, 4, 9, 9}, {6, 4, 3, 2}, {.padding = 2, .dilation = 2}});
  const Index r = GENERATE(1, 9, 33);
  const bool input_gradient = GENERATE(true, false);
  CAPTURE(r, input_gradient, c.o.stride, c.w[2]);
  check_plans<TestType>(c.x, c.w, r, input_gradient,
                        [&c](const auto& x, const auto& w, const auto& a, const auto& b, Plan plan) {
                          return lowrank_conv2d(x, w, a, b, 0.7, c.o, plan);
                        });
}

TEST_CASE("graphs: a trained W gets the same gradient in every plan") {
  std::vector<Tensor<double>> gradients;
  for (Plan plan : {Plan::factored, Plan::composed, Plan::composed_full}) {
    const Variable<double> w(random<double>({6, 4, 3, 3}, 4), true);
    const auto y = lowrank_conv2d(Variable<double>(random<double>({2, 4, 5, 5}, 1)), w,
                                  Variable<double>(random<double>({2, 4, 3, 3}, 2)),
                                  Variable<double>(random<double>({6, 2}, 3)), 0.5, {.padding = 1}, plan);
    y.backward(random<double>(y.shape(), 5));
    gradients.push_back(w.gradient());
  }
  CHECK(close(gradients[1], gradients[0]));
  CHECK(close(gradients[2], gradients[0]));
}
