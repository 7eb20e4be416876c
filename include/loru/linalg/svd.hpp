#pragma once
// Singular values and truncated singular value decomposition of tall or wide matrices, in double.
//
// Computed from the eigenvectors of the smaller Gram matrix. Singular values below about 1e-8 of the largest are
// lost in rounding; ranks of float updates and truncated initialisations lie far above that. The functions are
// templates so that only who calls them compiles the eigensolver.

#include <cmath>
#include <limits>
#include <vector>

#include <loru/linalg/eigen.hpp>
#include <loru/cpu/gemm/gemm.hpp>
#include <loru/linalg/qr.hpp>

namespace loru::inline LORU_ISA::linalg {

/// Eigenvalues in descending order and eigenvectors as the columns of a row-major (n, n) matrix.
template <std::floating_point T>
struct SymmetricEigen {
  std::vector<T> values;
  Tensor<T> vectors;
};

/// Eigendecomposition of a symmetric (n, n) matrix; only its lower triangle is read.
/// Throws ShapeError if the matrix is not square, DivergedError if the iteration does not converge, as for numbers that are not finite.
template <std::floating_point T>
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
  map(result.vectors.data(), n, n, n) = solver.eigenvectors().rowwise().reverse();
  return result;
}

#ifdef LORU_COMPILED
extern template SymmetricEigen<double> symmetric_eigen<double>(const Tensor<double>&);
#endif

/// A ≈ U · diag(values) · Vᵀ with U (m, k), V (n, k) and values descending.
struct Svd {
  Tensor<double> u;
  std::vector<double> values;
  Tensor<double> v;
};

namespace detail {

/// AᵀA for a tall (m, n) matrix, AAᵀ for a wide one.
template <std::same_as<double> T>
Tensor<T> gram(const Tensor<T>& a) {
  const Index m = a.dim(0), n = a.dim(1), k = std::min(m, n);
  Tensor<double> g(Shape{k, k});
  if (m >= n)
    cpu::gemm<double>(Op::transpose, Op::none, n, n, m, 1.0, {a.data(), n}, {a.data(), n}, 0.0, {g.data(), n});
  else
    cpu::gemm<double>(Op::none, Op::transpose, m, m, n, 1.0, {a.data(), n}, {a.data(), n}, 0.0, {g.data(), m});
  return g;
}

}  // namespace detail

/// All min(m, n) singular values of an (m, n) matrix, descending.
template <std::same_as<double> T>
std::vector<T> singular_values(const Tensor<T>& a) {
  require<ShapeError>(a.rank() == 2, "singular_values: expected a matrix, got ", a.shape());
  std::vector<double> values = symmetric_eigen(detail::gram(a)).values;
  for (double& value : values) value = std::sqrt(std::max(value, 0.0));
  return values;
}

/// The k largest singular triplets of an (m, n) matrix. Directions of singular value zero come out as zero columns
/// on the longer side. Throws ShapeError unless 0 <= k <= min(m, n).
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
  map(near.data(), side, k, k) = map(eigen.vectors.data(), side, side, side).leftCols(k);
  cpu::gemm<double>(m >= n ? Op::none : Op::transpose, Op::none, other, k, side, 1.0, {a.data(), n},
               {near.data(), k}, 0.0, {far.data(), k});
  for (Index j = 0; j < k; ++j) {
    const auto s = static_cast<std::size_t>(j);
    svd.values[s] = std::sqrt(std::max(eigen.values[s], 0.0));
    const double inverse = svd.values[s] > 0.0 ? 1.0 / svd.values[s] : 0.0;
    map(far.data(), other, k, k).col(j) *= inverse;
  }
  return svd;
}

/// The k largest singular triplets of the product B·A, B (m, R) and A (R, n), without forming it where R is the smallest
/// extent: B = Q_B·R_B, Aᵀ = Q_A·R_A, and the decomposition of the (R, R) core R_B·R_Aᵀ turned by Q_B and Q_A, in
/// O((m + n)·R²). Throws ShapeError unless 0 <= k <= min(m, n, R) and the inner extents agree.
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
  map(transposed.data(), n, r, r) = map(a.data(), r, n, n).transpose();
  const Qr left = thin_qr(b), right = thin_qr(transposed);
  Svd core = truncated_svd(product(left.r, right.r, Op::transpose), k);
  return {product(left.q, core.u, Op::none), std::move(core.values), product(right.q, core.v, Op::none)};
}

#ifdef LORU_COMPILED
extern template std::vector<double> singular_values(const Tensor<double>&);
extern template Svd truncated_svd(const Tensor<double>&, Index);
extern template Svd product_svd(const Tensor<double>&, const Tensor<double>&, Index);
#endif

/// Number of singular values above max(m, n) · epsilon · largest: the rule of numpy.linalg.matrix_rank, with the
/// epsilon of the type the matrix was computed in.
template <std::same_as<double> T>
Index numerical_rank(const Tensor<T>& a, double epsilon = std::numeric_limits<float>::epsilon()) {
  const std::vector<double> values = singular_values(a);
  if (values.empty()) return 0;
  const double threshold = static_cast<double>(std::max(a.dim(0), a.dim(1))) * epsilon * values.front();
  Index rank = 0;
  for (double value : values) rank += value > threshold;
  return rank;
}

}  // namespace loru::linalg
