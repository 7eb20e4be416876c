#pragma once
// The decompositions of svd.hpp, by Eigen's symmetric eigensolver.

#include <cmath>

#include <loru/cpu/gemm/gemm.hpp>
#include <loru/linalg/qr_bodies.hpp>
#include <loru/linalg/svd.hpp>

namespace loru::inline LORU_ISA::linalg {

template <std::same_as<double> T>
SymmetricEigen<T> symmetric_eigen(const Tensor<T>& matrix) {
  require<ShapeError>(matrix.rank() == 2 && matrix.dim(0) == matrix.dim(1),
                      "symmetric_eigen: expected a square matrix, got ", matrix.shape());
  const Index n = matrix.dim(0);
  if (n == 0) return {{}, Tensor<T>(Shape{0, 0})};
  Eigen::SelfAdjointEigenSolver<Eigen::Matrix<T, -1, -1>> solver(map(matrix.data(), n, n, n));
  require<DivergedError>(solver.info() == Eigen::Success, "symmetric_eigen: no convergence for ",
                         matrix.shape());
  SymmetricEigen<T> result{std::vector<T>(static_cast<std::size_t>(n)), Tensor<T>(Shape{n, n})};
  for (Index j = 0; j < n; ++j) result.values[static_cast<std::size_t>(j)] = solver.eigenvalues()(n - 1 - j);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) result.vectors.data()[i * n + j] = solver.eigenvectors()(i, n - 1 - j);
  return result;
}

namespace detail {

/// AᵀA for a tall (m, n) matrix, AAᵀ for a wide one.
template <std::same_as<double> T>
Tensor<T> gram(const Tensor<T>& a) {
  const Index m = a.dim(0), n = a.dim(1), k = std::min(m, n);
  Tensor<double> g(Shape{k, k});
  if (m >= n)
    cpu::gemm<double>(Op::transpose, Op::none, n, n, m, 1.0, {a.data(), n}, {a.data(), n}, 0.0,
                      {g.data(), n});
  else
    cpu::gemm<double>(Op::none, Op::transpose, m, m, n, 1.0, {a.data(), n}, {a.data(), n}, 0.0,
                      {g.data(), m});
  return g;
}

}  // namespace detail

template <std::same_as<double> T>
std::vector<T> singular_values(const Tensor<T>& a) {
  require<ShapeError>(a.rank() == 2, "singular_values: expected a matrix, got ", a.shape());
  std::vector<double> values = symmetric_eigen(detail::gram(a)).values;
  for (double& value : values) value = std::sqrt(std::max(value, 0.0));
  return values;
}

template <std::same_as<double> T>
Svd truncated_svd(const Tensor<T>& a, Index k) {
  require<ShapeError>(a.rank() == 2 && k >= 0 && k <= std::min(a.dim(0), a.dim(1)),
                      "truncated_svd: expected a matrix with at least ", k, " rows and columns, got ",
                      a.shape());
  const Index m = a.dim(0), n = a.dim(1), side = std::min(m, n), other = std::max(m, n);
  const SymmetricEigen<double> eigen = symmetric_eigen(detail::gram(a));
  Svd svd{Tensor<double>(Shape{m, k}), std::vector<double>(static_cast<std::size_t>(k)),
          Tensor<double>(Shape{n, k})};
  Tensor<double>& near = m >= n ? svd.v : svd.u;  // (side, k): eigenvectors
  Tensor<double>& far = m >= n ? svd.u : svd.v;   // (other, k): A times them, divided by the values
  for (Index i = 0; i < side; ++i) std::copy_n(eigen.vectors.data() + i * side, k, near.data() + i * k);
  cpu::gemm<double>(m >= n ? Op::none : Op::transpose, Op::none, other, k, side, 1.0, {a.data(), n},
                    {near.data(), k}, 0.0, {far.data(), k});
  for (Index j = 0; j < k; ++j) {
    const auto s = static_cast<std::size_t>(j);
    svd.values[s] = std::sqrt(std::max(eigen.values[s], 0.0));
    const double inverse = svd.values[s] > 0.0 ? 1.0 / svd.values[s] : 0.0;
    for (Index i = 0; i < other; ++i) far.data()[i * k + j] *= inverse;
  }
  return svd;
}

template <std::same_as<double> T>
Svd product_svd(const Tensor<T>& b, const Tensor<T>& a, Index k) {
  require<ShapeError>(b.rank() == 2 && a.rank() == 2 && b.dim(1) == a.dim(0),
                      "product_svd: expected factors (m, R) and (R, n), got ", b.shape(), " and ", a.shape());
  const Index m = b.dim(0), r = b.dim(1), n = a.dim(1);
  require<ShapeError>(k >= 0 && k <= std::min({m, n, r}), "product_svd: expected at most ",
                      std::min({m, n, r}), " triplets, got ", k);
  const auto product = [](const Tensor<T>& x, const Tensor<T>& y, Op op_y) {
    const Index rows = x.dim(0), cols = y.dim(op_y == Op::transpose ? 0 : 1);
    Tensor<T> z(Shape{rows, cols});
    cpu::gemm<T>(Op::none, op_y, rows, cols, x.dim(1), 1.0, {x.data(), x.dim(1)}, {y.data(), y.dim(1)}, 0.0,
                 {z.data(), cols});
    return z;
  };
  if (r > std::min(m, n)) return truncated_svd(product(b, a, Op::none), k);
  Tensor<T> transposed(Shape{n, r});
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < r; ++j) transposed.data()[i * r + j] = a.data()[j * n + i];
  const Qr left = thin_qr(b), right = thin_qr(transposed);
  Svd core = truncated_svd(product(left.r, right.r, Op::transpose), k);
  return {product(left.q, core.u, Op::none), std::move(core.values), product(right.q, core.v, Op::none)};
}

}  // namespace loru::inline LORU_ISA::linalg
