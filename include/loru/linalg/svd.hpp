#pragma once
// Singular values and truncated singular value decomposition of tall or wide matrices, in double.
//
// Computed from the eigenvectors of the smaller Gram matrix. Singular values below about 1e-8 of the largest
// are lost in rounding; ranks of float updates and truncated initialisations lie far above that. The
// functions are templates, so that only sources that call them compile the eigensolver.

#include <algorithm>
#include <concepts>
#include <limits>
#include <vector>

#include <loru/linalg/qr.hpp>

namespace loru::inline LORU_ISA::linalg {

/// Eigenvalues in descending order and eigenvectors as the columns of a row-major (n, n) matrix.
template <std::same_as<double> T>
struct SymmetricEigen {
  std::vector<T> values;
  Tensor<T> vectors;
};

/// Eigendecomposition of a symmetric (n, n) matrix; only its lower triangle is read.
/// Throws ShapeError if the matrix is not square, DivergedError if the iteration does not converge, as for
/// numbers that are not finite.
template <std::same_as<double> T>
SymmetricEigen<T> symmetric_eigen(const Tensor<T>& matrix);

/// A ≈ U · diag(values) · Vᵀ with U (m, k), V (n, k) and values descending.
struct Svd {
  Tensor<double> u;
  std::vector<double> values;
  Tensor<double> v;
};

/// All min(m, n) singular values of an (m, n) matrix, descending.
template <std::same_as<double> T>
std::vector<T> singular_values(const Tensor<T>& a);

/// The k largest singular triplets of an (m, n) matrix. Directions of singular value zero come out as zero
/// columns on the longer side. Throws ShapeError unless 0 <= k <= min(m, n).
template <std::same_as<double> T>
Svd truncated_svd(const Tensor<T>& a, Index k);

/// The k largest singular triplets of the product B·A, B (m, R) and A (R, n), without forming it where R is
/// the smallest extent: B = Q_B·R_B, Aᵀ = Q_A·R_A, and the decomposition of the (R, R) core R_B·R_Aᵀ turned
/// by Q_B and Q_A, in O((m + n)·R²). Throws ShapeError unless 0 <= k <= min(m, n, R) and the inner extents
/// agree.
template <std::same_as<double> T>
Svd product_svd(const Tensor<T>& b, const Tensor<T>& a, Index k);

/// Number of singular values above max(m, n) · epsilon · largest: the rule of numpy.linalg.matrix_rank, with
/// the epsilon of the type the matrix was computed in.
template <std::same_as<double> T>
Index numerical_rank(const Tensor<T>& a, double epsilon = std::numeric_limits<float>::epsilon()) {
  const std::vector<double> values = singular_values(a);
  if (values.empty()) return 0;
  const double threshold = static_cast<double>(std::max(a.dim(0), a.dim(1))) * epsilon * values.front();
  Index rank = 0;
  for (double value : values) rank += value > threshold;
  return rank;
}

}  // namespace loru::inline LORU_ISA::linalg

#ifndef LORU_COMPILED
#include <loru/linalg/svd_bodies.hpp>
#endif
