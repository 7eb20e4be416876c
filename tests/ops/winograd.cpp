// Winograd's way against windows, over odd sizes and channels; float, as it serves no other type.

#include <loru/ops/conv.hpp>

#include "support/catch.hpp"

using namespace loru;

namespace {

Tensor<float> normal(const Shape& shape, std::uint32_t number) {
  Tensor<float> t(shape, Layout::channels_last);
  rng::Stream stream = rng::Stream(7).fork(number);
  for (float& v : t.span()) v = static_cast<float>(stream.normal());
  return t;
}

/// max|a − b| / max|b|.
double difference(const Tensor<float>& a, const Tensor<float>& b) {
  REQUIRE(a.shape() == b.shape());
  double largest = 0.0, worst = 0.0;
  for (Index i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(b.data()[i])));
    worst = std::max(worst, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
  }
  return worst / largest;
}

struct Case {
  Index n, cin, cout, h, w, kernel, padding;
};

constexpr Case cases[] = {{1, 8, 8, 8, 8, 3, 1},    {3, 9, 17, 7, 5, 3, 1},   {2, 17, 70, 9, 11, 3, 0},
                          {2, 19, 33, 9, 8, 5, 2},  {1, 33, 8, 12, 13, 5, 0}, {5, 65, 66, 4, 4, 3, 1},
                          {2, 8, 130, 6, 7, 3, 2},  {4, 16, 16, 5, 5, 5, 4},  {64, 12, 12, 1, 1, 3, 1},
                          {1, 32, 48, 33, 35, 3, 1}};

constexpr double tolerance = 1e-4;

}  // namespace

TEST_CASE("winograd convolutions agree with windows") {
  for (const Case& c : cases) {
    CAPTURE(c.n, c.cin, c.cout, c.h, c.w, c.kernel, c.padding);
    const ConvOptions o{1, c.padding, 1, 1};
    const Tensor<float> x = normal({c.n, c.cin, c.h, c.w}, 1),
                        w = normal({c.cout, c.cin, c.kernel, c.kernel}, 2);
    const detail::ConvExtents e(x.shape(), w.shape(), o);
    const Tensor<float> dy = normal({e.n, e.cout, e.ho, e.wo}, 3);
    CHECK(difference(detail::winograd::forward(e, x, w), detail::windows_forward(e, x, w)) < tolerance);
    CHECK(difference(detail::winograd::input_gradient(e, dy, w), detail::windows_input_gradient(e, dy, w)) <
          tolerance);
    CHECK(difference(detail::winograd::weight_gradient(e, dy, x), detail::windows_weight_gradient(e, dy, x)) <
          tolerance);
  }
}

TEST_CASE("winograd convolutions do not depend on the number of threads") {
  const ConvOptions o{1, 1, 1, 1};
  const Tensor<float> x = normal({9, 70, 13, 11}, 1), w = normal({72, 70, 3, 3}, 2),
                      dy = normal({9, 72, 13, 11}, 3);
  const auto all = [&] {
    return std::array{conv2d(x, w, o), conv2d_backward_input(dy, w, x.shape(), o),
                      conv2d_backward_weight(dy, x, w.shape(), o)};
  };
  REQUIRE(detail::winograd::serves<float>(detail::ConvExtents(x.shape(), w.shape(), o)));
  const auto serial = all();
  WorkerPool pool(3);
  ParallelScope scope(pool);
  const auto parallel = all();
  for (std::size_t i = 0; i < serial.size(); ++i)
    CHECK(std::equal(serial[i].span().begin(), serial[i].span().end(), parallel[i].span().begin()));
}

TEST_CASE("the transforms give a filter's outputs") {
  // One row: y[i] = Σ_k g[k]·d[i + k] for 6 inputs, exactly in small integers times the divisors.
  const double d[6] = {1, -2, 3, 5, -4, 2};
  double v[6];
  detail::winograd::apply<detail::winograd::input>(d, v);
  const auto check = [&]<int K>(const double(&g)[K]) {
    double u[6], m[6], y[7 - K];
    detail::winograd::apply<detail::winograd::filter<K>>(g, u);
    for (int i = 0; i < 6; ++i) m[i] = u[i] * v[i];
    detail::winograd::apply<detail::winograd::spread<K>.transposed()>(m, y);
    for (int i = 0; i < 7 - K; ++i) {
      double expected = 0.0;
      for (int k = 0; k < K; ++k) expected += g[k] * d[i + k];
      CHECK(std::abs(y[i] - expected) < 1e-12);
    }
  };
  check.operator()<3>({2, -1, 3});
  check.operator()<5>({2, -1, 3, 1, -2});
}
