#pragma once
// General matrix product on row-major memory, computed by Eigen.

#include <algorithm>

#include <loru/core/parallel.hpp>
#include <loru/linalg/eigen.hpp>

namespace loru::linalg {

/// A row-major matrix in memory: element (i, j) at data[i * stride + j].
template <class T>
struct View {
  T* data;
  Index stride;
};

namespace detail {

template <std::floating_point T>
void gemm_block(Op op_a, Op op_b, Index m, Index n, Index k, T alpha, View<const T> a, View<const T> b, T beta,
                View<T> c) {
  auto C = map(c.data, m, n, c.stride);
  if (beta == T(0))
    C.setZero();
  else if (beta != T(1))
    C *= beta;
  const auto A = op_a == Op::none ? map(a.data, m, k, a.stride) : map(a.data, k, m, a.stride);
  const auto B = op_b == Op::none ? map(b.data, k, n, b.stride) : map(b.data, n, k, b.stride);
  if (op_a == Op::none && op_b == Op::none)
    C.noalias() += alpha * A * B;
  else if (op_a == Op::none)
    C.noalias() += alpha * A * B.transpose();
  else if (op_b == Op::none)
    C.noalias() += alpha * A.transpose() * B;
  else
    C.noalias() += alpha * A.transpose() * B.transpose();
}

}  // namespace detail

/// C = alpha · op(A) · op(B) + beta · C with op(A) (m, k), op(B) (k, n), C (m, n), all row-major.
/// Rows of C are computed in blocks whose size depends on m alone, so that the bits do not depend on threads.
template <std::floating_point T>
void gemm(Op op_a, Op op_b, Index m, Index n, Index k, T alpha, View<const T> a, View<const T> b, T beta,
          View<T> c) {
  constexpr Index rows = 512;
  if (m < 2 * rows) return detail::gemm_block(op_a, op_b, m, n, k, alpha, a, b, beta, c);
  parallel_for(m / rows, [&](Index block) {
    const Index first = block * rows;
    const Index count = block == m / rows - 1 ? m - first : rows;
    const T* a_block = a.data + (op_a == Op::none ? first * a.stride : first);
    detail::gemm_block<T>(op_a, op_b, count, n, k, alpha, {a_block, a.stride}, b, beta,
                          {c.data + first * c.stride, c.stride});
  });
}

#ifdef LORU_COMPILED
extern template void gemm<float>(Op, Op, Index, Index, Index, float, View<const float>, View<const float>,
                                 float, View<float>);
extern template void gemm<double>(Op, Op, Index, Index, Index, double, View<const double>, View<const double>,
                                  double, View<double>);
#endif

}  // namespace loru::linalg
