#include <loru/cpu/gemm/gemm.hpp>
#include <loru/linalg/linalg.hpp>

#include "support/catch.hpp"
#include "support/tensors.hpp"

using namespace loru;
using loru_test::close;
using loru_test::gaussian;

namespace {

Tensor<double> product(const Tensor<double>& a, Op op_a, const Tensor<double>& b, Op op_b) {
  const Index m = a.dim(op_a == Op::transpose), k = a.dim(op_a == Op::none), n = b.dim(op_b == Op::none);
  Tensor<double> c(Shape{m, n});
  cpu::gemm<double>(op_a, op_b, m, n, k, 1.0, {a.data(), a.dim(1)}, {b.data(), b.dim(1)}, 0.0, {c.data(), n});
  return c;
}

Tensor<double> identity(Index n) {
  Tensor<double> eye(Shape{n, n});
  fill(eye, 0.0);
  for (Index i = 0; i < n; ++i) eye.data()[i * n + i] = 1.0;
  return eye;
}

/// U · diag(values) · Vᵀ.
Tensor<double> assemble(const linalg::Svd& svd) {
  Tensor<double> scaled = clone(svd.u);
  const Index k = static_cast<Index>(svd.values.size());
  for (Index i = 0; i < scaled.size(); ++i) scaled.data()[i] *= svd.values[static_cast<std::size_t>(i % k)];
  return product(scaled, Op::none, svd.v, Op::transpose);
}

}  // namespace

TEST_CASE("symmetric_eigen: descending values, orthogonal vectors, the matrix again") {
  const Tensor<double> r = gaussian({9, 6}), m = product(r, Op::transpose, r, Op::none);
  const auto eigen = linalg::symmetric_eigen(m);
  CHECK(std::is_sorted(eigen.values.rbegin(), eigen.values.rend()));
  CHECK(close(product(eigen.vectors, Op::transpose, eigen.vectors, Op::none), identity(6)));
  CHECK(close(assemble({eigen.vectors, eigen.values, eigen.vectors}), m));
  CHECK_THROWS_AS(linalg::symmetric_eigen(r), ShapeError);
}

TEST_CASE("truncated_svd: tall, wide and square") {
  const Shape shape = GENERATE(Shape{12, 5}, Shape{5, 12}, Shape{7, 7}, Shape{1, 4}, Shape{4, 1});
  const Index side = std::min(shape[0], shape[1]);
  const Tensor<double> a = gaussian(shape);
  const linalg::Svd svd = linalg::truncated_svd(a, side);
  const auto orthogonal = [&](const Tensor<double>& q) {
    return loru_test::difference(product(q, Op::transpose, q, Op::none), identity(side)) < 1e-9;
  };
  CHECK(orthogonal(svd.u));
  CHECK(orthogonal(svd.v));
  CHECK(loru_test::difference(assemble(svd), a) < 1e-9);
  const std::vector<double> values = linalg::singular_values(a);
  REQUIRE(values.size() == static_cast<std::size_t>(side));
  double squares = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    CHECK(values[i] == Approx(svd.values[i]));
    squares += values[i] * values[i];
  }
  CHECK(std::sqrt(squares) == Approx(linalg::norm(a)));
}

TEST_CASE("truncated_svd: the best approximation of lower rank") {
  const Tensor<double> a = gaussian({10, 8});
  const linalg::Svd svd = linalg::truncated_svd(a, 3);
  CHECK(svd.u.shape() == Shape{10, 3});
  CHECK(svd.v.shape() == Shape{8, 3});
  const Tensor<double> rest = add(a, scale(assemble(svd), -1.0));
  const std::vector<double> values = linalg::singular_values(a);
  double expected = 0.0;  // Eckart and Young: the error is the tail
  for (std::size_t i = 3; i < values.size(); ++i) expected += values[i] * values[i];
  CHECK(linalg::norm(rest) == Approx(std::sqrt(expected)).epsilon(1e-9));
  CHECK(linalg::truncated_svd(a, 0).values.empty());
  CHECK_THROWS_WITH(linalg::truncated_svd(a, 9),
                    "truncated_svd: expected a matrix with at least 9 rows and columns, got (10, 8)");
}

TEST_CASE("numerical_rank: products of thin factors") {
  for (Index r : {0, 1, 3, 6}) {
    const Tensor<double> a = product(gaussian({9, r}, 1), Op::none, gaussian({r, 6}, 2), Op::none);
    CHECK(linalg::numerical_rank(a) == r);
  }
  Tensor<double> zero(Shape{3, 3});
  fill(zero, 0.0);
  CHECK(linalg::numerical_rank(zero) == 0);
  CHECK(linalg::numerical_rank(Tensor<double>(Shape{0, 3})) == 0);
}

TEST_CASE("norms: inner product and norm, in double") {
  const Tensor<float> a({3}, {1, 2, 3}), b({3}, {4, -5, 6});
  CHECK(linalg::dot(a, b) == 12.0);
  CHECK(linalg::norm(a) == Approx(std::sqrt(14.0)));
  Tensor<float> many(Shape{1 << 20});
  fill(many, 0.1f);
  CHECK(linalg::dot(many, many) ==
        Approx((1 << 20) * 0.01).epsilon(1e-7));  // a float sum would be off by more
  CHECK_THROWS_AS(linalg::dot(a, Tensor<float>({2}, {1, 2})), ShapeError);
}

TEST_CASE("thin_qr: orthonormal columns, upper triangle, the matrix again") {
  const Shape shape = GENERATE(Shape{9, 4}, Shape{5, 5}, Shape{3, 1}, Shape{4, 0});
  const Tensor<double> a = gaussian(shape);
  const linalg::Qr qr = linalg::thin_qr(a);
  if (shape[1] > 0) CHECK(close(product(qr.q, Op::none, qr.r, Op::none), a));
  CHECK(loru_test::difference(product(qr.q, Op::transpose, qr.q, Op::none), identity(shape[1])) < 1e-12);
  for (Index i = 0; i < shape[1]; ++i)
    for (Index j = 0; j < i; ++j) CHECK(qr.r.data()[i * shape[1] + j] == 0.0);
  CHECK_THROWS_AS(linalg::thin_qr(gaussian({2, 3})), ShapeError);
}

TEST_CASE("product_svd: the decomposition of the product, thin and wide") {
  const auto [m, r, n] =
      GENERATE(std::tuple{Index{14}, Index{5}, Index{11}}, std::tuple{Index{6}, Index{6}, Index{9}},
               std::tuple{Index{4}, Index{9}, Index{7}}, std::tuple{Index{8}, Index{1}, Index{3}});
  const Tensor<double> b = gaussian({m, r}), a = gaussian({r, n}, 7),
                       whole = product(b, Op::none, a, Op::none);
  for (Index k = 1; k <= std::min({m, n, r}); k += 2) {
    const linalg::Svd thin = linalg::product_svd(b, a, k), direct = linalg::truncated_svd(whole, k);
    INFO("rank " << k);
    for (std::size_t i = 0; i < thin.values.size(); ++i)
      CHECK(thin.values[i] == Catch::Detail::Approx(direct.values[i]).epsilon(1e-9));
    CHECK(loru_test::difference(assemble(thin), assemble(direct)) < 1e-12);
  }
  CHECK_THROWS_AS(linalg::product_svd(b, gaussian({r + 1, n}), 1), ShapeError);
  CHECK_THROWS_AS(linalg::product_svd(b, a, std::min({m, n, r}) + 1), ShapeError);
}
