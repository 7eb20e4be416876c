// Winograd's way against windows, over odd sizes and channels; float, as it serves no other type.

#include <loru/cpu/conv/conv_bodies.hpp>

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
  Index n, cin, cout, h, w, kernel, padding, stride = 1;
};

constexpr Case cases[] = {
    {1, 8, 8, 8, 8, 3, 1},        {3, 9, 17, 7, 5, 3, 1},      {2, 17, 70, 9, 11, 3, 0},
    {2, 19, 33, 9, 8, 5, 2},      {1, 33, 8, 12, 13, 5, 0},    {5, 65, 66, 4, 4, 3, 1},
    {2, 8, 130, 6, 7, 3, 2},      {4, 16, 16, 5, 5, 5, 4},     {64, 12, 12, 1, 1, 3, 1},
    {1, 32, 48, 33, 35, 3, 1},    {70, 16, 130, 4, 4, 3, 1},   {1, 16, 16, 16, 16, 3, 1, 2},
    {3, 33, 47, 7, 9, 3, 1, 2},   {2, 130, 65, 8, 5, 3, 1, 2}, {70, 8, 9, 1, 2, 3, 1, 2},
    {1, 32, 32, 33, 31, 3, 1, 2}, {9, 40, 72, 15, 15, 3, 1, 2}};

constexpr double tolerance = 1e-4;

}  // namespace

TEST_CASE("winograd convolutions agree with windows") {
  for (const Case& c : cases) {
    CAPTURE(c.n, c.cin, c.cout, c.h, c.w, c.kernel, c.padding, c.stride);
    const ConvOptions o{c.stride, c.padding, 1, 1};
    const Tensor<float> x = normal({c.n, c.cin, c.h, c.w}, 1),
                        w = normal({c.cout, c.cin, c.kernel, c.kernel}, 2);
    const detail::ConvExtents e(x.shape(), w.shape(), o);
    const Tensor<float> dy = normal({e.n, e.cout, e.ho, e.wo}, 3);
    CHECK(difference(cpu::winograd::forward(e, x, w), cpu::windows_forward(e, x, w)) < tolerance);
    CHECK(difference(cpu::winograd::input_gradient(e, dy, w), cpu::windows_input_gradient(e, dy, w)) <
          tolerance);
    CHECK(difference(cpu::winograd::weight_gradient(e, dy, x), cpu::windows_weight_gradient(e, dy, x)) <
          tolerance);
  }
}

TEST_CASE("winograd convolutions do not depend on the number of threads") {
  const Index stride = GENERATE(1, 2);
  const ConvOptions o{stride, 1, 1, 1};
  const Tensor<float> x = normal({9, 80, 13, 11}, 1), w = normal({96, 80, 3, 3}, 2);
  const detail::ConvExtents e(x.shape(), w.shape(), o);
  const Tensor<float> dy = normal({9, 96, e.ho, e.wo}, 3);
  const auto all = [&] {
    return std::array{conv2d(x, w, o), conv2d_backward_input(dy, w, x.shape(), o),
                      conv2d_backward_weight(dy, x, w.shape(), o)};
  };
  REQUIRE(cpu::winograd::serves(e));
  const auto serial = all();
  WorkerPool pool(3);
  ParallelScope scope(pool);
  const auto parallel = all();
  for (std::size_t i = 0; i < serial.size(); ++i)
    CHECK(std::equal(serial[i].span().begin(), serial[i].span().end(), parallel[i].span().begin()));
}

namespace {

using cpu::winograd::Scheme;

/// Σ_j M[i][j]·in[j] for all i, on plain numbers.
template <auto M, std::size_t C>
auto product(const std::array<double, C>& in) {
  return cpu::winograd::apply<M, 0, M.rows>(in);
}

/// Y·[(G·g)[tap] ⊙ (X·d)] of a filtering F with G.
template <auto F, auto G, std::size_t K>
auto filtered(const std::array<double, K>& g, const std::array<double, F.in>& d) {
  constexpr auto window = F.window;
  constexpr auto collect = F.collect;
  const auto u = product<G>(g);
  auto v = product<window>(d);
  for (std::size_t p = 0; p < v.size(); ++p) v[p] *= u[static_cast<std::size_t>(F.tap[p])];
  return product<collect>(v);
}

}  // namespace

TEMPLATE_TEST_CASE("the schemes give a filter's outputs", "", (Scheme<3, 1>), (Scheme<5, 1>),
                   (Scheme<3, 2>)) {
  constexpr auto f = TestType::forward;
  constexpr auto g = TestType::taps;
  constexpr std::size_t stride = f.in_step / f.out_step, inputs = f.in, outputs = f.out, k = g.cols;
  const std::array<double, 9> numbers{1, -2, 3, 5, -4, 2, 7, -1, 6};
  std::array<double, inputs> d;
  std::copy_n(numbers.begin(), inputs, d.begin());
  std::array<double, k> taps;
  std::copy_n(numbers.begin() + 2, k, taps.begin());
  const auto y = filtered<f, g>(taps, d);
  for (std::size_t i = 0; i < outputs; ++i) {
    double expected = 0.0;
    for (std::size_t t = 0; t < k; ++t) expected += taps[t] * d[stride * i + t];
    CHECK(std::abs(y[i] - expected) < 1e-11);
  }
}

TEST_CASE("the input gradient of stride 2 by phases") {
  // dx[2i] = w1·dy[i], dx[2i + 1] = w2·dy[i] + w0·dy[i + 1] at padding 1.
  constexpr auto f = Scheme<3, 2>::input_gradient;
  constexpr auto g = Scheme<3, 2>::taps;
  const std::array<double, 3> w{2, -1, 3}, reversed{3, -1, 2};
  const std::array<double, 5> dy{1, -2, 3, 5, -4};
  const auto dx = filtered<f, g>(reversed, dy);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(std::abs(dx[2 * i] - w[1] * dy[i]) < 1e-12);
    CHECK(std::abs(dx[2 * i + 1] - (w[2] * dy[i] + w[0] * dy[i + 1])) < 1e-12);
  }
}
