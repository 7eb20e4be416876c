// Estimators against matrices whose eigenvalues are known.
#include <loru/cpu/cpu.hpp>
#include <loru/linalg/svd.hpp>
#include <loru/spectrum/measure.hpp>
#include <loru/spectrum/span.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using namespace loru_test;
using spectrum::Explicit, spectrum::Operator, spectrum::Spectrum;

namespace {

/// U·diag(values)·Uᵀ for a random orthogonal U.
Tensor<double> with_eigenvalues(const std::vector<double>& values, std::uint64_t seed = 5) {
  const Index n = std::ssize(values);
  const Tensor<double> u = linalg::thin_qr(gaussian({n, n}, seed)).q;
  Tensor<double> scaled = clone(u);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) scaled.data()[i * n + j] *= values[static_cast<std::size_t>(j)];
  return matmul(scaled, u, {.b = Op::transpose});
}

/// Symmetric with independent normal elements of deviation s off the diagonal, s·√2 on it.
Tensor<double> wigner(Index n, double s, std::uint64_t seed) {
  const Tensor<double> g = gaussian({n, n}, seed);
  Tensor<double> w(Shape{n, n});
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j)
      w.data()[i * n + j] = s * (g.data()[i * n + j] + g.data()[j * n + i]) / std::sqrt(2.0);
  return w;
}

Spectrum measured(const Tensor<double>& matrix, const spectrum::Options& options = {}) {
  return spectrum::measure(Operator<double>(Explicit<double>(matrix)), options);
}

/// The exact values of what the estimators estimate.
struct Exact {
  double norm = 0.0, frobenius2 = 0.0, trace = 0.0, entropy = 0.0;

  explicit Exact(const Tensor<double>& matrix) {
    double magnitude = 0.0;
    const std::vector<double> values = linalg::symmetric_eigen(matrix).values;
    for (const double v : values) {
      norm = std::max(norm, std::abs(v));
      frobenius2 += v * v;
      trace += v;
      magnitude += std::abs(v);
    }
    for (const double v : values)
      if (v != 0.0) entropy -= std::abs(v) / magnitude * std::log(std::abs(v) / magnitude);
  }
  double stable_rank() const { return frobenius2 / (norm * norm); }
};

std::vector<double> decaying(Index n) {
  std::vector<double> values;
  for (Index i = 0; i < n; ++i)
    values.push_back((i % 3 == 0 ? -1.0 : 1.0) * std::pow(0.97, static_cast<double>(i)));
  return values;
}

}  // namespace

TEST_CASE("spectrum: a matrix smaller than Q is measured exactly") {
  const Tensor<double> m = with_eigenvalues({3.0, -4.0, 1.0, 0.5, 0.25});
  const Spectrum s = measured(m);
  const Exact exact(m);
  CHECK(s.norm == Approx(4.0).epsilon(1e-12));
  CHECK(s.frobenius2 == Approx(exact.frobenius2).epsilon(1e-12));
  CHECK(s.trace == Approx(exact.trace).epsilon(1e-12));
  CHECK(s.stable_rank_error < 1e-10);
  CHECK(s.entropy_rank == Approx(std::exp(exact.entropy)).epsilon(1e-10));
  CHECK(s.effective_rank == Approx(exact.trace * exact.trace / exact.frobenius2).epsilon(1e-12));
}

TEST_CASE("spectrum: the zero matrix and a single number") {
  Tensor<double> zero(Shape{40, 40});
  fill(zero, 0.0);
  const Spectrum none = measured(zero);
  CHECK(none.norm == 0.0);
  CHECK(none.frobenius2 == 0.0);
  CHECK(none.stable_rank == 0.0);
  CHECK(none.entropy_rank == 0.0);
  const Spectrum one = measured(Tensor<double>(Shape{1, 1}, {-2.5}));
  CHECK(one.norm == Approx(2.5));
  CHECK(one.trace == Approx(-2.5));
  CHECK(one.stable_rank == Approx(1.0));
}

TEST_CASE("spectrum: eigenvalues of both signs, within the errors that are reported") {
  const Tensor<double> m = with_eigenvalues(decaying(300));
  const Exact exact(m);
  const Spectrum s = measured(m);
  CHECK(s.norm == Approx(exact.norm).epsilon(1e-6));
  CHECK(std::abs(s.norm - exact.norm) <= s.norm_residual + 1e-12);
  CHECK(s.stable_rank_error <= 5e-3 * s.stable_rank);
  CHECK(std::abs(s.frobenius2 - exact.frobenius2) < 4.0 * s.frobenius2_error);
  CHECK(std::abs(s.stable_rank - exact.stable_rank()) < 4.0 * s.stable_rank_error);
  CHECK(std::abs(s.trace - exact.trace) < 4.0 * s.trace_error);
  CHECK(s.entropy_rank == Approx(std::exp(exact.entropy)).epsilon(0.05));
  double weight = 0.0;
  for (const auto& node : s.density) weight += node.weight;
  CHECK(weight == Approx(1.0).epsilon(1e-9));
}

TEST_CASE("spectrum: eigenvalues of high multiplicity") {
  // As in softmax regression at zero: each eigenvalue nine times, of which a Lanczos process alone sees few.
  std::vector<double> values;
  for (Index i = 0; i < 80; ++i)
    for (int copy = 0; copy < 9; ++copy)
      values.push_back(i == 0 ? 1.0 : 0.4 * std::pow(0.6, static_cast<double>(i)));
  const Tensor<double> m = with_eigenvalues(values);
  const Exact exact(m);
  const Spectrum s = measured(m);
  CHECK(s.stable_rank_error <= 5e-3 * s.stable_rank);
  CHECK(std::abs(s.stable_rank - exact.stable_rank()) < 0.01 * exact.stable_rank());
  CHECK(s.outliers == 9);
}

TEST_CASE("spectrum: outliers before a bulk are counted") {
  std::vector<double> values{10.0, 9.0, -8.0, 7.5};
  for (Index i = 0; i < 200; ++i) values.push_back(0.5 * std::cos(static_cast<double>(i)));
  CHECK(measured(with_eigenvalues(values)).outliers == 4);
}

TEST_CASE("spectrum: a spiked Wigner matrix against its formula") {
  // λ·u·uᵀ + W, W of deviation s off the diagonal: for s·√P < λ the largest eigenvalue is λ + s²·P/λ and
  // ‖·‖²_F is λ² + s²·P² up to terms of order 1/P. Source: Peche (2006).
  const Index p = 400;
  const double s = 0.05, spike = 3.0;
  Tensor<double> m = wigner(p, s, 11);
  const Tensor<double> u = gaussian({p}, 12);
  const double length = squared_norm(u);
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j) m.data()[i * p + j] += spike * u.data()[i] * u.data()[j] / length;
  const double top = spike + s * s * static_cast<double>(p) / spike,
               energy = spike * spike + s * s * static_cast<double>(p * p);
  const Spectrum got = measured(m);
  CHECK(got.norm == Approx(top).epsilon(0.02));
  CHECK(got.frobenius2 == Approx(energy).epsilon(0.02));
  CHECK(got.stable_rank == Approx(energy / (top * top)).epsilon(0.03));
  CHECK(std::abs(got.stable_rank - Exact(m).stable_rank()) < 4.0 * got.stable_rank_error);
}

TEST_CASE("spectrum: nominal 95 % intervals cover in 93 to 97 % of repeats") {
  const Index size = 60, repeats = 2000;
  std::vector<double> values;
  for (Index i = 0; i < size; ++i) values.push_back(1.0 / (1.0 + 0.05 * static_cast<double>(i)));
  const Tensor<double> m = with_eigenvalues(values);
  const Exact exact(m);
  const Operator<double> h{Explicit<double>(m)};
  const double quantile = 2.045;  // of Student's t with 29 degrees of freedom
  Index covered = 0, trace_covered = 0, rank_covered = 0;
  for (Index i = 0; i < repeats; ++i) {
    const Spectrum s = spectrum::measure(
        h, {.steps = 25, .kept = 2, .probes = 30, .tolerance = 1e9, .seed = static_cast<std::uint64_t>(i)});
    covered += std::abs(s.frobenius2 - exact.frobenius2) <= quantile * s.frobenius2_error;
    trace_covered += std::abs(s.trace - exact.trace) <= quantile * s.trace_error;
    rank_covered += std::abs(s.stable_rank - exact.stable_rank()) <= quantile * s.stable_rank_error;
  }
  for (const Index count : {covered, trace_covered, rank_covered}) {
    const double share = static_cast<double>(count) / static_cast<double>(repeats);
    CHECK(share >= 0.93);
    CHECK(share <= 0.97);
  }
}

TEST_CASE("spectrum: no probes where the residual alone exceeds the tolerance") {
  const Spectrum s = measured(with_eigenvalues(decaying(300)), {.steps = 4, .kept = 1, .tolerance = 1e-3});
  CHECK(2.0 * s.norm_residual > 1e-3 * s.norm);
  CHECK(s.probes == 30);
}

TEST_CASE("spectrum: processes go on until the residual fits into the tolerance") {
  const Spectrum s =
      measured(with_eigenvalues(decaying(60)),
               {.kept = 1, .residual = 0.5, .tolerance = 1e-3, .most_starts = 2, .most_probes = 30});
  CHECK(2.0 * s.norm_residual <= 1e-3 * s.norm);
}

TEST_CASE("spectrum: one seed gives the same bits, another seed other probes") {
  const Tensor<double> m = with_eigenvalues(decaying(120));
  const spectrum::Options few{.steps = 20, .kept = 3, .tolerance = 1.0};
  spectrum::Options other = few;
  other.seed = 2;
  CHECK(measured(m, few).frobenius2 == measured(m, few).frobenius2);
  CHECK(measured(m, few).frobenius2 != measured(m, other).frobenius2);
}

TEST_CASE("spectrum: a vector's energy at the eigenvalues") {
  // g = 3·u₀ + 4·u₁ of a matrix with distinct eigenvalues.
  const std::vector<double> values{5.0, -3.0, 2.0, 1.0, 0.5, 0.1};
  const Index n = std::ssize(values);
  const Tensor<double> m = with_eigenvalues(values, 7), u = linalg::thin_qr(gaussian({n, n}, 7)).q;
  std::vector<double> g;
  for (Index i = 0; i < n; ++i) g.push_back(3.0 * u.data()[i * n] + 4.0 * u.data()[i * n + 1]);
  const spectrum::Span span = spectrum::span_of(Operator<double>(Explicit<double>(m)), g);
  REQUIRE(span.energy.size() == 2);
  CHECK(span.energy[0].eigenvalue == Approx(5.0));
  CHECK(span.energy[0].weight == Approx(0.36));
  CHECK(span.top(1) == Approx(0.36));
  CHECK(span.participation() == Approx(1.0 / (0.36 * 0.36 + 0.64 * 0.64)));
}

TEST_CASE("spectrum: the Lanczos relation H·V = V·T + β·v·eᵀ + Q·C gives products of Ritz vectors") {
  const Tensor<double> m = with_eigenvalues(decaying(80));
  const Operator<double> h{Explicit<double>(m)};
  spectrum::Vectors<double> q, hq;
  for (std::uint64_t seed : {1u, 2u}) {
    spectrum::Lanczos<double> process(h, spectrum::gaussian<double>(80, rng::Stream(seed)), q);
    const auto pairs = process.run(30, 30, 1e-9);
    spectrum::Vectors<double> y, hy;
    process.ritz_vectors(pairs, 10, y, hy);
    for (std::size_t i = 0; i < y.size(); ++i) {
      auto product = h.product(y[i]);
      for (std::size_t k = 0; k < product.size(); ++k) CHECK(std::abs(product[k] - hy[i][k]) < 1e-12);
      q.push_back(y[i]);
    }
  }
  for (std::size_t i = 0; i < q.size(); ++i)
    for (std::size_t j = 0; j <= i; ++j)
      CHECK(std::abs(spectrum::dot(q[i], q[j]) - (i == j ? 1.0 : 0.0)) < 1e-12);
}

TEST_CASE("spectrum: what makes no sense is refused") {
  CHECK_THROWS_AS(Explicit<double>(Tensor<double>(Shape{2, 3})), ShapeError);
  const Tensor<double> m = with_eigenvalues({1.0, 2.0});
  CHECK_THROWS_AS(measured(m, {.steps = 1}), ConfigError);
  CHECK_THROWS_AS(measured(m, {.probes = 1}), ConfigError);
  CHECK_THROWS_AS(measured(m, {.tolerance = 0.0}), ConfigError);
  Tensor<double> broken = clone(m);
  broken.data()[0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_AS(measured(broken), DivergedError);
  CHECK_THROWS_AS(spectrum::span_of(Operator<double>(Explicit<double>(m)), std::vector<double>(3)),
                  ShapeError);
}
