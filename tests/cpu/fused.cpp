// Fused elementwise ops against the ops that they are made of.

#include <loru/cpu/cpu.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::gaussian;
using loru_test::same_bits;

namespace {

template <class T>
bool agree(const Tensor<T>& got, const Tensor<T>& expected) {
  return loru_test::difference(got, expected) <= (std::same_as<T, float> ? 1e-6 : 1e-13);
}

/// Odd channel counts, one pixel, one image.
const std::vector<Shape> shapes{{2, 1, 5, 3},  {1, 3, 4, 4},  {3, 17, 1, 1}, {1, 100, 3, 2},
                                {2, 64, 9, 7}, {1, 64, 1, 1}, {5, 1, 1, 1}};

/// Inputs of a norm with a residual sum, and the gradient of its result.
template <class T>
struct Case {
  Tensor<T> x, residual, dy, gamma, beta;

  Case(const Shape& s, Layout layout)
      : x{gaussian<T>(s, 1, layout)},
        residual{gaussian<T>(s, 2, layout)},
        dy{gaussian<T>(s, 3, layout)},
        gamma{gaussian<T>({s[1]}, 4)},
        beta{gaussian<T>({s[1]}, 5)} {}
};

/// Moments of the batch, or of groups.
template <class T>
Moments<T> moments(const Tensor<T>& x, Index groups) {
  return groups == 0 ? batch_moments(x, 1e-3) : group_moments(x, groups, 1e-3);
}

/// Every tensor that a norm with an epilogue gives, forward and backward.
template <class T>
std::vector<Tensor<T>> fused(const Case<T>& c, Index groups, bool relu, bool summed, bool fixed) {
  const Moments<T> m = moments(c.x, groups);
  const Tensor<T> y = normalise(c.x, m, c.gamma, c.beta, {relu, summed ? c.residual : Tensor<T>()});
  const Gate gate = !relu ? Gate::open : summed ? Gate::output : Gate::input;
  const Tensor<T> kept = gate == Gate::output ? y : Tensor<T>();
  const NormGradients<T> g = normalise_backward(c.dy, kept, c.x, m, c.gamma, c.beta, gate, fixed);
  return {y, g.dx, g.dgamma, g.dbeta, g.residual};
}

/// The same from a norm, a sum and a ReLU apart.
template <class T>
std::vector<Tensor<T>> composed(const Case<T>& c, Index groups, bool with_relu, bool summed, bool fixed) {
  const Moments<T> m = moments(c.x, groups);
  const Tensor<T> z = normalise(c.x, m, c.gamma, c.beta, {});
  const Tensor<T> sum = summed ? add(z, to_layout(c.residual, z.layout())) : z;
  const Tensor<T> y = with_relu ? relu(sum) : sum, dy = to_layout(c.dy, y.layout());
  const Tensor<T> d = with_relu ? relu_backward(y, dy) : dy;
  const NormGradients<T> g = normalise_backward(d, {}, c.x, m, c.gamma, c.beta, Gate::open, fixed);
  return {y, g.dx, g.dgamma, g.dbeta, with_relu && summed ? d : Tensor<T>()};
}

}  // namespace

TEMPLATE_TEST_CASE("fused: norm, residual sum and ReLU are what the three are apart", "", float, double) {
  const bool with_relu = GENERATE(false, true), summed = GENERATE(false, true);
  for (const Shape& s : shapes)
    for (Layout layout : {Layout::row_major, Layout::channels_last})
      for (Index groups : {Index{0}, Index{1}, s[1]})
        for (bool fixed : {false, true}) {
          INFO(s << ", " << groups << " groups, " << to_string(layout) << (fixed ? ", fixed" : ""));
          const Case<TestType> c(s, layout);
          const auto got = fused(c, groups, with_relu, summed, fixed),
                     expected = composed(c, groups, with_relu, summed, fixed);
          for (std::size_t i = 0; i < got.size(); ++i) {
            INFO("result " << i);
            CHECK(agree(got[i], expected[i]));
          }
        }
}

TEMPLATE_TEST_CASE("fused: sums and biases with ReLU are what they are apart", "", float, double) {
  for (Index rows : {1, 3, 130})
    for (Index n : {1, 3, 17, 64, 100}) {
      INFO(rows << " x " << n);
      const Tensor<TestType> x = gaussian<TestType>({rows, n}, 1), other = gaussian<TestType>({rows, n}, 2),
                             dy = gaussian<TestType>({rows, n}, 3), bias = gaussian<TestType>({n}, 4);
      CHECK(same_bits(add_relu(x, other), relu(add(x, other))));
      Tensor<TestType> plain = clone(x);
      add_bias(plain, bias, {});
      for (const Tensor<TestType>& residual : {Tensor<TestType>(), other}) {
        const Tensor<TestType> sum = residual ? add(plain, residual) : plain;
        Tensor<TestType> open = clone(x), y = clone(x);
        add_bias(open, bias, {false, residual});
        CHECK(same_bits(open, sum));
        add_bias(y, bias, {true, residual});
        CHECK(same_bits(y, relu(sum)));
        const Tensor<TestType> masked = relu_backward(y, dy);
        const BiasGradients<TestType> g = add_bias_backward(y, dy);
        CHECK(same_bits(g.dx, masked));
        CHECK(agree(g.dbias, column_sum(masked)));
      }
      const BiasGradients<TestType> g = add_bias_backward({}, dy);
      CHECK(same_bits(g.dx, dy));
      CHECK(same_bits(g.dbias, column_sum(dy)));
    }
}

TEST_CASE("fused: a gradient is overwritten only where nothing else holds it") {
  const Case<float> c({2, 8, 3, 3}, Layout::channels_last);
  const Moments<float> m = batch_moments(c.x, 1e-3);
  const Tensor<float> y = normalise(c.x, m, c.gamma, c.beta, {true, c.residual}), before = clone(c.dy);
  Tensor<float> mine = clone(c.dy);
  const float* memory = mine.data();
  const auto backward = [&](Tensor<float> dy, const Tensor<float>& kept) {
    return normalise_backward(std::move(dy), kept, c.x, m, c.gamma, c.beta, kept ? Gate::output : Gate::input,
                              false);
  };

  const auto shared = backward(c.dy, {}), taken = backward(std::move(mine), {});
  CHECK(same_bits(c.dy, before));
  CHECK(std::as_const(taken.dx).data() == memory);
  CHECK(same_bits(taken.dx, shared.dx));
  CHECK_FALSE(taken.residual);

  mine = clone(c.dy);
  memory = mine.data();
  const auto summed = backward(std::move(mine), y);
  CHECK(std::as_const(summed.residual).data() == memory);
  CHECK(std::as_const(summed.dx).data() != memory);

  mine = clone(c.dy);
  memory = mine.data();
  const Tensor<float> masked = relu_backward(y, std::move(mine));
  CHECK(masked.data() == memory);
  CHECK(same_bits(masked, summed.residual));
  CHECK(same_bits(c.dy, before));
}

TEST_CASE("fused: the same bits for any number of threads") {
  const Case<float> c({6, 24, 41, 37}, Layout::channels_last);  // several pieces of rows, none of them even
  const auto run = [&](Index threads, Index groups) {
    WorkerPool pool(threads);
    ParallelScope scope(pool);
    std::vector<Tensor<float>> all;
    for (bool summed : {false, true})
      for (const auto& t : fused(c, groups, true, summed, false)) all.push_back(t);
    const Index rows = c.x.size() / 24;
    const Tensor<float> matrix = c.x.as_matrix(rows);
    const auto bias = add_bias_backward(matrix, c.dy.as_matrix(rows));
    all.insert(all.end(), {bias.dx, bias.dbias, column_sum(matrix), add_relu(c.x, c.residual)});
    all.push_back(Tensor<float>({}, {static_cast<float>(squared_norm(c.x))}));
    return all;
  };
  for (Index groups : {0, 8}) {
    const auto alone = run(1, groups);
    for (Index threads : {2, 5}) {
      const auto got = run(threads, groups);
      for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], alone[i]));
    }
  }
}

TEMPLATE_TEST_CASE("moments: as exact as two passes in double, whatever the mean", "", float, double) {
  const Index rows = 5000, c = 3;
  Tensor<TestType> x = gaussian<TestType>({1, c, rows, 1}, 1, Layout::channels_last);
  for (Index i = 0; i < rows; ++i) {
    x.data()[i * c] += TestType(1000);
    x.data()[i * c + 1] = i % 64 == 0 ? TestType(100) : TestType(1e-3) * x.data()[i * c + 1];
    x.data()[i * c + 2] = TestType(0.1);
  }
  const Moments<TestType> m = batch_moments(x, 1e-5);
  for (Index j = 0; j < c; ++j) {
    double mean = 0.0, squares = 0.0;
    for (Index i = 0; i < rows; ++i)
      mean += static_cast<double>(x.data()[i * c + j]) / static_cast<double>(rows);
    for (Index i = 0; i < rows; ++i) squares += std::pow(static_cast<double>(x.data()[i * c + j]) - mean, 2);
    const double epsilon = std::same_as<TestType, float> ? 1e-6 : 1e-13;
    CHECK(m.mean.data()[j] == Approx(mean).epsilon(epsilon));
    CHECK(m.variance.data()[j] ==
          Approx(squares / static_cast<double>(rows)).epsilon(4 * epsilon).margin(1e-25));
  }
  CHECK(m.variance.data()[2] == TestType(0));
}

TEST_CASE("fused: what does not fit is refused") {
  const Tensor<float> x = gaussian<float>({2, 6, 3, 3}), six = gaussian<float>({6}),
                      four = gaussian<float>({4});
  const Moments<float> m = batch_moments(x, 1e-5);
  CHECK_THROWS_AS(normalise(x, m, four, four, {}), ShapeError);
  CHECK_THROWS_WITH(normalise(x, batch_moments(gaussian<float>({2, 4, 3, 3}), 1e-5), six, six, {}),
                    "normalise: moments of shape (4) do not fit (2, 6, 3, 3)");
  CHECK_THROWS_AS(normalise(x, m, six, six, {true, gaussian<float>({2, 6, 3, 2})}), ShapeError);
  CHECK_THROWS_AS(normalise_backward(gaussian<float>({2, 6, 3, 2}), {}, x, m, six, six, Gate::input, false),
                  ShapeError);
  CHECK_THROWS_AS(add_relu(x, six), ShapeError);
  Tensor<float> rows = gaussian<float>({3, 6});
  CHECK_THROWS_WITH(add_bias(rows, four, {true}), "add_bias: bias (4) does not fit rows of (3, 6)");
  CHECK_THROWS_AS(add_bias(rows, six, {true, gaussian<float>({3, 5})}), ShapeError);
  CHECK_THROWS_AS(add_bias_backward(rows, gaussian<float>({3, 5})), ShapeError);
}
