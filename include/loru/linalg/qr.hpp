#pragma once
// QR decomposition of tall matrices, in double.

#include <loru/linalg/eigen.hpp>

namespace loru::inline LORU_ISA::linalg {

/// A = Q·R with orthonormal columns Q (m, n) and upper triangular R (n, n).
struct Qr {
  Tensor<double> q, r;
};

/// Thin QR decomposition by Householder reflections. Throws ShapeError unless A is a matrix (m, n) with m >= n.
template <std::same_as<double> T>
Qr thin_qr(const Tensor<T>& a) {
  require<ShapeError>(a.rank() == 2 && a.dim(0) >= a.dim(1),
                      "thin_qr: expected a matrix with at least as many rows as columns, got ", a.shape());
  const Index m = a.dim(0), n = a.dim(1);
  Qr result{Tensor<double>(Shape{m, n}), Tensor<double>(Shape{n, n})};
  if (n == 0) return result;
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(map(a.data(), m, n, n));
  map(result.q.data(), m, n, n) = qr.householderQ() * Eigen::MatrixXd::Identity(m, n);
  map(result.r.data(), n, n, n) = qr.matrixQR().topRows(n).template triangularView<Eigen::Upper>();
  return result;
}

#ifdef LORU_COMPILED
extern template Qr thin_qr(const Tensor<double>&);
#endif

}  // namespace loru::linalg
