// Hadamard products of low-rank matrices as weights.
#include <loru/autograd/gradcheck.hpp>
#include <loru/lowrank/lowrank.hpp>
#include <loru/lowrank/rank.hpp>
#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;

namespace {

using Weight = nn::Hadamard<double>;

Weight random_weight(const Shape& w, Index rank, bool personal) {
  const auto part = [&](std::uint64_t seed) {
    const bool convolution = w.rank() == 4;
    const Layout last = convolution ? Layout::channels_last : Layout::row_major;
    return Weight::Part{gaussian(convolution ? Shape{w[1], rank, 1, 1} : Shape{rank, w[1]}, seed, last),
                        gaussian({w[0], rank}, seed + 1),
                        convolution ? gaussian({rank, rank, w[2], w[3]}, seed + 2, last) : Tensor<double>()};
  };
  return {w, part(1), part(11), personal};
}

std::vector<Variable<double>> parameters(Weight& weight) {
  std::vector<Variable<double>> all;
  weight.visit({.parameter = [&](const std::string&, Variable<double>& v) { all.push_back(v); }}, "");
  return all;
}

/// Σ_pq T[p, q, y, x]·B[o, p]·A[q, c], or Σ_p B[o, p]·A[p, i], plus the offset: element by element.
Tensor<double> direct(const std::vector<Variable<double>>& p, std::size_t first, const Shape& w,
                      double offset) {
  const bool convolution = w.rank() == 4;
  const auto row_major = [&](std::size_t i) { return to_layout(p[first + i].value(), Layout::row_major); };
  const Tensor<double> a = row_major(0), b = row_major(1);
  const Index m = w[0], n = w[1], window = convolution ? w[2] * w[3] : 1, r = b.dim(1);
  const Tensor<double> core = convolution ? row_major(2) : Tensor<double>();
  Tensor<double> sum(w);
  for (Index o = 0; o < m; ++o)
    for (Index c = 0; c < n; ++c)
      for (Index k = 0; k < window; ++k) {
        double value = offset;
        for (Index i = 0; i < r; ++i) {
          if (!convolution) value += b.data()[o * r + i] * a.data()[i * n + c];
          for (Index q = 0; convolution && q < r; ++q)
            value += core.data()[(i * r + q) * window + k] * b.data()[o * r + i] * a.data()[c * r + q];
        }
        sum.data()[(o * n + c) * window + k] = value;
      }
  return sum;
}

}  // namespace

TEST_CASE("hadamard: the weight is W_1 ⊙ (W_2 + c)") {
  const Shape w = GENERATE(Shape{5, 7}, Shape{5, 4, 3, 3}, Shape{4, 6, 3, 2});
  const bool personal = GENERATE(false, true);
  Weight weight = random_weight(w, 3, personal);
  const auto all = parameters(weight);
  const std::size_t second = all.size() / 2;
  const Tensor<double> expected =
      multiply(direct(all, 0, w, 0.0), direct(all, second, w, personal ? 1.0 : 0.0));
  CHECK(close(compose(weight.form()).value(), expected));
  CHECK(weight.shape() == w);
  CHECK(weight.rank() == 3);
}

TEST_CASE("hadamard: gradients of every factor and of the input") {
  const bool personal = GENERATE(false, true);
  nn::Pass pass;
  SECTION("dense") {
    Weight weight = random_weight({5, 7}, 2, personal);
    auto inputs = parameters(weight);
    inputs.emplace_back(gaussian({3, 7}, 5), true);
    const auto f = [&](std::vector<Variable<double>>& v) {
      return sum(multiply(nn::linear(weight.form(), v.back(), pass), Variable<double>(gaussian({3, 5}, 99))));
    };
    CHECK(gradcheck(f, inputs) < 1e-6);
  }
  SECTION("convolution") {
    Weight weight = random_weight({4, 3, 3, 3}, 2, personal);
    auto inputs = parameters(weight);
    inputs.emplace_back(gaussian({2, 3, 5, 5}, 5, Layout::channels_last), true);
    const auto f = [&](std::vector<Variable<double>>& v) {
      const auto y = nn::conv2d(weight.form(), v.back(), {.stride = 2, .padding = 1}, pass);
      return sum(multiply(y, Variable<double>(gaussian(y.shape(), 99, y.value().layout()))));
    };
    CHECK(gradcheck(f, inputs) < 1e-6);
  }
}

TEST_CASE("hadamard: reaches ranks that plain factors of its size cannot") {
  // 2·R·(m + n) numbers: plain factors of as many have rank 2·R, this has R².
  const Index m = 24, n = 30, rank = 4;
  const Tensor<double> w = compose(random_weight({m, n}, rank, false).form()).value();
  CHECK(lowrank::update_rank(w, Tensor<double>(nn::constant<double>({m, n}, 0.0))) == rank * rank);
}

TEST_CASE("hadamard: initial weights have He's variance by outputs") {
  const bool personal = GENERATE(false, true);
  auto model = nn::build<double>("cnn", {.channels = 1, .height = 28, .width = 28});
  const auto layers = lowrank::factorize_hadamard(model, {.rank = 12, .layers = {"conv2", "fc1"}}, personal);
  CHECK(layers == std::vector<std::string>{"conv2", "fc1"});
  Index found = 0;
  lowrank::for_each_weight<nn::Hadamard>(model, [&](const std::string& layer, Weight& weight) {
    INFO(layer);
    const Tensor<double> w = compose(weight.form()).value();
    double squares = 0.0;
    for (double x : w.span()) squares += x * x;
    const double expected =
        2.0 / nn::Fan(w.shape()).out * (personal ? 1.0 + 2.0 / nn::Fan(w.shape()).out : 1.0);
    CHECK(squares / static_cast<double>(w.size()) > 0.6 * expected);
    CHECK(squares / static_cast<double>(w.size()) < 1.6 * expected);
    ++found;
  });
  CHECK(found == 2);
  const Tensor<double> x = gaussian({2, 1, 28, 28}, 3);
  CHECK(model(Variable<double>(x)).shape() == Shape{2, 10});
}

TEST_CASE("hadamard: refusals") {
  auto model = nn::build<double>("mlp", {.height = 4, .width = 4, .classes = 3});
  CHECK_THROWS_WITH(lowrank::factorize_hadamard(model, {.rank = 0}, false),
                    "factorize_hadamard: rank: expected a whole number >= 1, got 0");
  CHECK_THROWS_WITH(lowrank::factorize_hadamard(model, {.rank = 300}, false),
                    "factorize: layer fc2: rank 300 exceeds min(in=256, out=256) = 256");
  CHECK(lowrank::factorize_hadamard(
            model, {.rank = 300, .layers = {"fc*"}, .small_layers = lowrank::SmallLayers::dense}, false)
            .empty());
  lowrank::factorize(model, {.rank = 2});
  CHECK_THROWS_WITH(lowrank::factorize_hadamard(model, {.rank = 2}, false),
                    "factorize_hadamard: layer fc2: expected a dense weight");
  CHECK_THROWS_WITH(Weight({3, 4}, {Tensor<double>({2, 4}), Tensor<double>({3, 2}), {}},
                           {Tensor<double>({2, 4}), Tensor<double>({3, 3}), {}}, false),
                    "hadamard weight: A: expected (3, 4), got (2, 4)");
}
