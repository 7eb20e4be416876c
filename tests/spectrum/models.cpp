// The curvature of models against Hessians that are formed, or known in closed form.
#include <loru/data/digits.hpp>
#include <loru/linalg/svd.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/nn/linear.hpp>
#include <loru/nn/models/mlp.hpp>
#include <loru/nn/sequential.hpp>
#include <loru/spectrum/curvature.hpp>
#include <loru/spectrum/measure.hpp>
#include <loru/train/tasks/classification.hpp>
#include <loru/train/tasks/regression.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;
using spectrum::Curvature, spectrum::CurvatureOptions, spectrum::Weights;

namespace {

using Hessian = spectrum::CurvatureOperator<double>;

/// Vectors of n numbers with one of `classes` classes, or with `targets` numbers each.
data::Dataset vectors(Index count, Index n, Index classes, Index targets = 0) {
  rng::Stream random(21);
  std::vector<float> x;
  for (Index i = 0; i < count * n; ++i) x.push_back(static_cast<float>(random.normal()));
  data::Dataset set{.name = "vectors", .sample = {n}, .classes = classes, .features = x};
  if (targets > 0) {
    data::Numbers y{.width = targets, .values = {}};
    for (Index i = 0; i < count * targets; ++i) y.values.push_back(static_cast<float>(random.normal()));
    set.targets = y;
  } else {
    data::Labels y;
    for (Index i = 0; i < count; ++i) y.push_back(static_cast<std::int32_t>(i % classes));
    set.targets = y;
  }
  return set;
}

std::vector<Index> all(const data::Dataset& set) {
  std::vector<Index> samples(static_cast<std::size_t>(set.size()));
  std::iota(samples.begin(), samples.end(), Index{0});
  return samples;
}

/// n -> hidden -> ReLU -> classes, with biases.
template <class T>
nn::Model<T> small_mlp(Index n, Index hidden, Index classes) {
  const rng::Stream stream(3, rng::Purpose::init);
  nn::Sequential<T, Cpu> s;
  s.add("fc1", nn::Linear<T, Cpu>({.in = n, .out = hidden}, stream.fork(0))).add("relu", nn::ReLU<T, Cpu>());
  s.add("fc2", nn::Linear<T, Cpu>({.in = hidden, .out = classes}, stream.fork(1)));
  return s;
}

/// W_L·…·W_1·x without biases, the hidden layers of these widths.
template <class T>
nn::Model<T> linear_net(Index n, std::vector<Index> widths, Index outputs) {
  const rng::Stream stream(4, rng::Purpose::init);
  nn::Sequential<T, Cpu> s;
  widths.push_back(outputs);
  for (std::size_t i = 0; i < widths.size(); ++i)
    s.add(concat("fc", i + 1),
          nn::Linear<T, Cpu>({.in = i == 0 ? n : widths[i - 1], .out = widths[i], .bias = false},
                             stream.fork(static_cast<std::uint32_t>(i))));
  return s;
}

/// The operator as a matrix, by its products with unit vectors.
Tensor<double> formed(Hessian h) {
  const Index p = h.size();
  Tensor<double> matrix(Shape{p, p});
  std::vector<double> unit(static_cast<std::size_t>(p));
  for (Index j = 0; j < p; ++j) {
    unit[static_cast<std::size_t>(j)] = 1.0;
    const std::vector<double> column = h.product(unit);
    for (Index i = 0; i < p; ++i) matrix.data()[i * p + j] = column[static_cast<std::size_t>(i)];
    unit[static_cast<std::size_t>(j)] = 0.0;
  }
  return matrix;
}

Tensor<double> transposed(const Tensor<double>& m) {
  Tensor<double> t(m.shape());
  const Index n = m.dim(0);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) t.data()[i * n + j] = m.data()[j * n + i];
  return t;
}

Index rank_of(const Tensor<double>& matrix) { return linalg::numerical_rank(matrix, 1e-9); }

double squares(const Tensor<double>& m) { return squared_norm(m); }

// docs: begin dual
/// The mlp of these tests at a point of its own, over dual numbers.
nn::Model<Dual<double>> dual_mlp(Index n, Index hidden, Index classes) {
  auto real = small_mlp<double>(n, hidden, classes);
  return spectrum::dual_model(real, small_mlp<Dual<double>>(n, hidden, classes));
}
// docs: end dual

Hessian hessian_of(const data::Dataset& set, std::vector<Index> samples,
                   const CurvatureOptions& options = {}) {
  return {dual_mlp(set.sample[0], 6, set.classes), set, std::move(samples), train::Classification{}, options};
}

}  // namespace

TEST_CASE("spectrum: the Hessian of an mlp against differences of its gradient") {
  const data::Dataset set = vectors(20, 5, 3);
  auto real = small_mlp<double>(5, 6, 3);
  const double step = 1e-5;
  const auto gradient_at = [&](Index parameter, double h) {
    auto moved = real;
    Index at = parameter;
    for (auto& p : moved.trained_parameters()) {
      if (at >= 0 && at < p.value.value().size()) p.value.mutable_value().data()[at] += h;
      at -= p.value.value().size();
    }
    return Hessian(spectrum::dual_model(moved, small_mlp<Dual<double>>(5, 6, 3)), set, all(set),
                   train::Classification{})
        .gradient();
  };
  const Tensor<double> h = formed(hessian_of(set, all(set)));
  CHECK(difference(h, transposed(h)) < 1e-12);
  for (Index j = 0; j < h.dim(0); j += 7) {
    const auto above = gradient_at(j, step), below = gradient_at(j, -step);
    for (Index i = 0; i < h.dim(0); ++i) {
      const auto k = static_cast<std::size_t>(i);
      CHECK(std::abs((above[k] - below[k]) / (2.0 * step) - h.data()[i * h.dim(0) + j]) < 1e-7);
    }
  }
}

TEST_CASE("spectrum: estimates of an mlp's Hessian against its decomposition") {
  const data::Dataset set = vectors(60, 30, 10);
  // docs: begin measure
  const auto dual = dual_mlp(30, 30, 10);
  const spectrum::CurvatureOperator<double> h(dual, set, all(set), train::Classification{});
  const auto s = spectrum::measure(spectrum::Operator<double>(h));  // s.stable_rank, s.stable_rank_error
  // docs: end measure
  CHECK(h.size() == 30 * 31 + 10 * 31);
  const std::vector<double> values = linalg::symmetric_eigen(formed(h)).values;
  double norm = 0.0, frobenius2 = 0.0, trace = 0.0;
  for (const double v : values) {
    norm = std::max(norm, std::abs(v));
    frobenius2 += v * v;
    trace += v;
  }
  CHECK(s.norm == Approx(norm).epsilon(1e-6));
  CHECK(s.stable_rank_error <= 5e-3 * s.stable_rank);
  CHECK(std::abs(s.frobenius2 - frobenius2) < 4.0 * s.frobenius2_error);
  CHECK(std::abs(s.stable_rank - frobenius2 / (norm * norm)) < 4.0 * s.stable_rank_error);
  CHECK(s.trace == Approx(trace).epsilon(0.05));
  CHECK(s.gradients == 3.0 * static_cast<double>(s.products));
}

TEST_CASE("spectrum: H = G + residual, and G is positive semidefinite of rank at most n·(C − 1)") {
  const data::Dataset set = vectors(4, 9, 3);
  const Tensor<double> h = formed(hessian_of(set, all(set))),
                       g = formed(hessian_of(set, all(set), {.kind = Curvature::gauss_newton})),
                       r = formed(hessian_of(set, all(set), {.kind = Curvature::residual}));
  CHECK(difference(add(g, r), h) < 1e-12);
  CHECK(linalg::symmetric_eigen(g).values.back() > -1e-12);
  CHECK(rank_of(g) == 4 * 2);
  CHECK(squares(r) > 1e-6 * squares(h));
}

TEST_CASE("spectrum: the Gauss-Newton matrix of a linear net against its Jacobian") {
  // G = 2/(N·k)·JᵀJ for the mean of (W_2·W_1·x − y)² over N samples and k outputs. Row i of a sample's J is
  // W_2[i, a]·x[b] at W_1[a, b] and (W_1·x)[a] at W_2[i, a].
  const Index d = 5, hidden = 3, k = 2, n = 8, p = hidden * (d + k);
  const data::Dataset set = vectors(n, d, 0, k);
  auto real = linear_net<double>(d, {hidden}, k);
  const Tensor<double> g = formed({spectrum::dual_model(real, linear_net<Dual<double>>(d, {hidden}, k)),
                                   set,
                                   all(set),
                                   train::Regression{},
                                   {.kind = Curvature::gauss_newton}});
  const auto parameters = real.parameters();
  const Tensor<double> w1 = parameters[0].value.value(), w2 = parameters[1].value.value(),
                       x = data::gather<double>(set, all(set), Layout::row_major).inputs;
  Tensor<double> j(Shape{n * k, p});
  fill(j, 0.0);
  for (Index s = 0; s < n; ++s)
    for (Index i = 0; i < k; ++i)
      for (Index a = 0; a < hidden; ++a)
        for (Index b = 0; b < d; ++b) {
          double* row = j.data() + (s * k + i) * p;
          row[a * d + b] = w2.data()[i * hidden + a] * x.data()[s * d + b];
          row[hidden * d + i * hidden + a] += w1.data()[a * d + b] * x.data()[s * d + b];
        }
  const Tensor<double> products = matmul(j, j, {.a = Op::transpose});
  for (Index i = 0; i < p * p; ++i)
    CHECK(std::abs(g.data()[i] - 2.0 / static_cast<double>(n * k) * products.data()[i]) < 1e-12);
}

TEST_CASE("spectrum: a layer's block stands on the Hessian's diagonal") {
  const data::Dataset set = vectors(12, 5, 3);
  const Tensor<double> h = formed(hessian_of(set, all(set))),
                       block = formed(hessian_of(set, all(set), {.parameters = spectrum::of_layer("fc2")}));
  const Index p = h.dim(0), n = block.dim(0), first = p - n;
  CHECK(n == 3 * 6 + 3);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      CHECK(std::abs(block.data()[i * n + j] - h.data()[(first + i) * p + first + j]) < 1e-14);
  CHECK_THROWS_AS(hessian_of(set, all(set), {.parameters = spectrum::of_layer("fc3")}), ConfigError);
}

TEST_CASE("spectrum: the Hessian in (A, B) is Jᵀ·H·J and the curvature of the product") {
  // With respect to B alone at B = 0 the effective weight is linear in B: the block is (s·A)·H·(s·A)ᵀ.
  const data::Dataset set = vectors(12, 5, 3);
  auto real = small_mlp<double>(5, 6, 3);
  lowrank::factorize(real, {.rank = 2, .alpha = 4.0, .layers = {"fc1"}});
  const auto factors = spectrum::dual_model(real, small_mlp<Dual<double>>(5, 6, 3), Weights::factors);
  const auto effective = spectrum::dual_model(real, small_mlp<Dual<double>>(5, 6, 3));
  const auto only = [](nn::Role role) {
    return [role](const nn::TensorId& tensor) { return tensor.role == role; };
  };
  const Tensor<double> in_b =
      formed({factors, set, all(set), train::Classification{}, {.parameters = only(nn::Role::up)}});
  const Tensor<double> in_w =
      formed({effective, set, all(set), train::Classification{}, {.parameters = [](const nn::TensorId& t) {
                return t.name == "fc1.weight";
              }}});
  Tensor<double> a;
  lowrank::for_each_weight<nn::Factored>(real, [&](const std::string&, auto& w) { a = w.a().value(); });
  const Index m = 6, n = 5, r = 2;
  for (Index i = 0; i < m * r; ++i)
    for (Index j = 0; j < m * r; ++j) {
      double expected = 0.0;
      for (Index k = 0; k < n; ++k)
        for (Index l = 0; l < n; ++l)
          expected += 2.0 * a.data()[(i % r) * n + k] *
                      in_w.data()[((i / r) * n + k) * m * n + (j / r) * n + l] * 2.0 *
                      a.data()[(j % r) * n + l];
      CHECK(std::abs(in_b.data()[i * m * r + j] - expected) < 1e-12);
    }
  const Hessian both(factors, set, all(set), train::Classification{}, {.parameters = spectrum::of_factors()});
  CHECK(both.size() == r * (m + n));
  auto dense = small_mlp<double>(5, 6, 3);
  CHECK_THROWS_AS(Hessian(spectrum::dual_model(dense, small_mlp<Dual<double>>(5, 6, 3), Weights::factors),
                          set, all(set), train::Classification{}, {.parameters = spectrum::of_factors()}),
                  ConfigError);
}

TEST_CASE("spectrum: ranks of linear nets, with one hidden layer and with several") {
  // f = mean (W_L·…·W_1·x − y)²: G has rank q·(d + k − q) with q the least of all widths, d the rank of the
  // inputs, and the rest of H has rank 2·q·M + 2·q·s − L·q² with M the sum of the hidden widths and s the
  // rank of E[(W_L·…·W_1·x − y)·xᵀ]. Source: Singh et al., arXiv 2106.16225.
  const Index d = 7, k = 4;
  const auto widths = GENERATE(std::vector<Index>{3}, std::vector<Index>{3, 5}, std::vector<Index>{5, 6});
  CAPTURE(widths);
  const Index layers = std::ssize(widths) + 1,
              q = std::min(k, *std::min_element(widths.begin(), widths.end())),
              sum = std::accumulate(widths.begin(), widths.end(), Index{0});
  const data::Dataset set = vectors(40, d, 0, k);
  auto real = linear_net<double>(d, widths, k);
  const auto dual = spectrum::dual_model(real, linear_net<Dual<double>>(d, widths, k));
  const auto of = [&](Curvature kind) {
    return formed({dual, set, all(set), train::Regression{}, {.kind = kind}});
  };
  CHECK(rank_of(of(Curvature::gauss_newton)) == q * (d + k - q));
  CHECK(rank_of(of(Curvature::residual)) == 2 * q * sum + 2 * q * k - layers * q * q);
}

TEST_CASE("spectrum: the mean square of Hessians over all subsets of a size") {
  // E‖H_n‖² = ‖H_N‖² + V·(N − n)/(n·(N − 1)), V = mean ‖h_i − H_N‖², for n of N drawn without replacement.
  const Index whole = 6, n = 3;
  const data::Dataset set = vectors(whole, 4, 3);
  const auto squares_of = [&](std::vector<Index> samples) {
    return squares(formed(hessian_of(set, std::move(samples))));
  };
  const double all_squares = squares_of(all(set));
  double v = 0.0, mean = 0.0, subsets = 0.0;
  for (Index i = 0; i < whole; ++i) v += squares_of({i}) / static_cast<double>(whole);
  v -= all_squares;
  for (unsigned mask = 0; mask < (1u << whole); ++mask) {
    std::vector<Index> samples;
    for (Index i = 0; i < whole; ++i)
      if (mask >> i & 1u) samples.push_back(i);
    if (std::ssize(samples) != n) continue;
    mean += squares_of(samples);
    subsets += 1.0;
  }
  CHECK(subsets == 20.0);
  CHECK(mean / subsets == Approx(all_squares + v * (6.0 - 3.0) / (3.0 * 5.0)).epsilon(1e-10));
}

TEST_CASE("spectrum: batches add up to the whole, with the same bits for any threads") {
  const data::Dataset set = vectors(50, 5, 3);
  const auto x = spectrum::gaussian<double>(hessian_of(set, all(set)).size(), rng::Stream(9));
  const auto whole = hessian_of(set, all(set), {.batch = 50}).product(x);
  WorkerPool two(2);
  const CurvatureOptions small{.batch = 3};
  const auto serial = hessian_of(set, all(set), small).product(x);
  const auto parallel =
      Hessian(dual_mlp(5, 6, 3), set, all(set), train::Classification{}, small, &two).product(x);
  CHECK(serial == parallel);
  for (std::size_t i = 0; i < whole.size(); ++i) CHECK(std::abs(whole[i] - serial[i]) < 1e-13);
}

TEST_CASE("spectrum: a curvature that does not exist is refused") {
  const data::Dataset set = vectors(8, 5, 3), numbers = vectors(8, 5, 0, 3);
  CHECK_THROWS_AS(hessian_of(set, {}), DataError);
  CHECK_THROWS_AS(hessian_of(set, all(set), {.batch = 0}), ConfigError);
  CHECK_THROWS_AS(Hessian(dual_mlp(5, 6, 3), numbers, all(numbers), train::Classification{}), ConfigError);
  CHECK_THROWS_AS(hessian_of(set, all(set)).product(std::vector<double>(3)), ShapeError);
  auto real = small_mlp<double>(5, 6, 3);
  CHECK_THROWS_AS(spectrum::dual_model(real, small_mlp<Dual<double>>(5, 7, 3)), ShapeError);
  CHECK_THROWS_AS(spectrum::dual_model(real, linear_net<Dual<double>>(5, {6}, 3)), ConfigError);
}
