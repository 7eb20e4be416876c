#pragma once
// thin_qr, by Eigen.

#include <algorithm>

#include <loru/linalg/eigen.hpp>
#include <loru/linalg/qr.hpp>

namespace loru::inline LORU_ISA::linalg {

template <std::same_as<double> T>
Qr thin_qr(const Tensor<T>& a) {
  require<ShapeError>(a.rank() == 2 && a.dim(0) >= a.dim(1),
                      "thin_qr: expected a matrix with at least as many rows as columns, got ", a.shape());
  const Index m = a.dim(0), n = a.dim(1);
  Qr result{Tensor<double>(Shape{m, n}), Tensor<double>(Shape{n, n})};
  if (n == 0) return result;
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(map(a.data(), m, n, n));
  // householderQ() * Identity(m, n), of a type that the eigensolver compiles anyway.
  Eigen::MatrixXd q = Eigen::MatrixXd::Identity(m, n);
  Eigen::VectorXd workspace;
  qr.householderQ().applyThisOnTheLeft(q, workspace, m == n);
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) result.q.data()[i * n + j] = q(i, j);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) result.r.data()[i * n + j] = i <= j ? qr.matrixQR()(i, j) : 0.0;
  return result;
}

}  // namespace loru::inline LORU_ISA::linalg
