#include <loru/autograd/hvp.hpp>

#include <loru/lowrank/factorize.hpp>
#include <loru/nn/models/models.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::gaussian;
using loru_test::labels;
using loru_test::same_bits;

namespace {

using Tensors = std::vector<Tensor<double>>;

/// A classification loss as a function of the trained parameters of a bundled model, over real or dual
/// numbers.
struct Problem {
  std::string name;
  nn::ModelOptions options;
  Tensor<double> images = gaussian({4, options.channels, options.height, options.width}, 3);
  Tensor<std::int32_t> targets = labels(4, static_cast<std::int32_t>(options.classes));
  lowrank::FactorizeOptions factors{.rank = 0};

  template <class T>
  nn::Model<T> model() const {
    nn::Model<T> m = nn::build<T>(name, options);
    if (factors.rank > 0) lowrank::factorize(m, factors);
    return m;
  }

  template <class T>
  Variable<T> loss(nn::Model<T>& m, std::span<Variable<T>> parameters) const {
    std::size_t next = 0;
    m.visit({.parameter = [&](const std::string&, Variable<T>& v) {
      if (v.requires_grad()) v = parameters[next++];
    }});
    REQUIRE(next == parameters.size());
    nn::Pass pass = nn::Pass::train();
    pass.update_statistics = false;
    Tensor<T> x(images.shape());
    std::copy(images.data(), images.data() + images.size(), x.data());
    return cross_entropy(m(Variable<T>(x), pass), targets);
  }

  Tensors gradient(nn::Model<double>& m, const Tensors& point) const {
    std::vector<Variable<double>> parameters;
    for (const Tensor<double>& p : point) parameters.emplace_back(p, true);
    loss<double>(m, parameters).backward();
    Tensors g;
    for (const auto& p : parameters) g.push_back(p.gradient());
    return g;
  }
};

/// point + h · direction.
Tensors moved(const Tensors& point, const Tensors& direction, double h) {
  Tensors result;
  for (std::size_t i = 0; i < point.size(); ++i) {
    result.push_back(clone(point[i]));
    add_scaled(result.back(), h, direction[i]);
  }
  return result;
}

double norm(const Tensors& v) {
  double squares = 0.0;
  for (const auto& t : v) squares += squared_norm(t);
  return std::sqrt(squares);
}

/// hvp of the problem at its initial parameters in a random unit direction, against the plain gradient (bit
/// for bit) and central differences of it.
void check(const Problem& problem) {
  nn::Model<double> plain = problem.model<double>();
  nn::Model<Dual<double>> dual = problem.model<Dual<double>>();
  Tensors point, v;
  for (const auto& p : plain.trained_parameters()) {
    point.push_back(clone(p.value.value()));
    v.push_back(gaussian(p.value.shape(), 100 + v.size(), p.value.value().layout()));
  }
  const double length = norm(v);
  for (auto& t : v) t = scale(t, 1.0 / length);
  if (problem.factors.rank > 0)  // away from B = 0, where half of the curvature vanishes
    point = moved(point, v, 1.0);

  Tensors statistics;
  for (const auto& b : dual.buffers()) statistics.push_back(clone(split(b.value).value));
  const HessianProduct<double> got = hvp<double>(
      [&](std::span<Variable<Dual<double>>> p) { return problem.loss<Dual<double>>(dual, p); }, point, v);
  const auto buffers = dual.buffers();
  for (std::size_t i = 0; i < statistics.size(); ++i)
    CHECK(same_bits(split(buffers[i].value).value, statistics[i]));

  const Tensors gradient = problem.gradient(plain, point);
  constexpr double h = 1e-5;
  const Tensors above = problem.gradient(plain, moved(point, v, h));
  const Tensors below = problem.gradient(plain, moved(point, v, -h));
  Tensors numeric = moved(above, below, -1.0);
  for (auto& t : numeric) t = scale(t, 0.5 / h);
  const double size = norm(numeric);
  CHECK(size > 1e-3);
  CHECK(norm(moved(got.product, numeric, -1.0)) < 1e-6 * size);
  REQUIRE(got.gradient.size() == gradient.size());
  for (std::size_t i = 0; i < gradient.size(); ++i) CHECK(same_bits(got.gradient[i], gradient[i]));
}

}  // namespace

TEST_CASE("hvp: a quadratic form has a constant Hessian") {
  const Tensor<double> m = gaussian({5, 5}), x = gaussian({1, 5}, 2), v = gaussian({1, 5}, 3);
  const std::vector<Tensor<double>> point{x}, direction{v};
  const auto form = [&](auto p) {
    using T = typename std::remove_cvref_t<decltype(p[0].value())>::value_type;
    Tensor<T> matrix(m.shape());
    std::copy(m.data(), m.data() + m.size(), matrix.data());
    return sum(multiply(matmul(p[0], Variable<T>(matrix)), p[0]));  // x·M·xᵀ
  };
  const auto got = hvp<double>(form, point, direction);
  const Tensor<double> expected = add(matmul(v, m, {}), matmul(v, m, {.b = Op::transpose}));
  CHECK(loru_test::close(got.product[0], expected));
  CHECK_THROWS_AS(hvp<double>(form, point, std::vector<Tensor<double>>{}), ShapeError);
  CHECK_THROWS_AS(hvp<double>(form, point, std::vector<Tensor<double>>{gaussian({2, 5})}), ShapeError);
}

TEST_CASE("hvp: parameters that do not take part have zero products") {
  const std::vector<Tensor<double>> point{gaussian({2}), gaussian({3})},
      direction{gaussian({2}), gaussian({3})};
  const auto got = hvp<double>([](auto p) { return sum(multiply(p[0], p[0])); }, point, direction);
  for (double x : got.product[1].span()) CHECK(x == 0.0);
  for (double x : got.gradient[1].span()) CHECK(x == 0.0);
}

TEST_CASE("hvp: mlp") { check({"mlp", {.channels = 1, .height = 4, .width = 5, .classes = 3}}); }

TEST_CASE("hvp: cnn") { check({"cnn", {.channels = 2, .height = 8, .width = 9, .classes = 3}}); }

TEST_CASE("hvp: resnet10 with batch normalisation in training mode") {
  check({"resnet10", {.channels = 3, .height = 9, .width = 8, .classes = 4, .narrow = 8}});
}

TEST_CASE("hvp: factored layers, in every graph") {
  Problem problem{"mlp", {.channels = 1, .height = 4, .width = 5, .classes = 3}};
  problem.factors = {.rank = 3,
                     .plan = GENERATE(lowrank::PlanChoice::factored, lowrank::PlanChoice::composed,
                                      lowrank::PlanChoice::composed_full)};
  check(problem);
}
