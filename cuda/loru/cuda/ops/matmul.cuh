#pragma once
// Matrix products, by cuBLAS, and biases.

#include <loru/cuda/blas.hpp>
#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/ops/columns.cuh>
#include <loru/cuda/ops/elementwise.cuh>
#include <loru/cuda/ops/epilogue.cuh>
#include <loru/cuda/ops/reduce.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

template <class T>
void matmul_into(Array<T>& c, Real<T> alpha, const Array<T>& a, const Array<T>& b, MatmulOptions o,
                 Real<T> beta) {
  const auto [m, n, k] = loru::detail::product_shape(a, b, o);
  loru::detail::check_product(c.shape(), m, n);
  if (c.size() == 0) return;
  if (k == 0) {  // nothing to add
    if (beta == T(0)) return fill(c, T(0));
    return detail::map_into("matmul_into", detail::Scale<T>{beta}, c, c);
  }
  blas_gemm(o.a == Op::transpose, o.b == Op::transpose, m, n, k, alpha, a.data(), a.dim(1), b.data(),
            b.dim(1), beta, c.data());
}

template <class T>
Array<T> matmul(const Array<T>& a, const Array<T>& b, MatmulOptions o) {
  const auto [m, n, k] = loru::detail::product_shape(a, b, o);
  Array<T> c(Shape{m, n});
  matmul_into(c, T(1), a, b, o, T(0));
  return c;
}

namespace detail {

/// The epilogue of x (M, n) + bias (n) at element i of x.
template <class T>
struct AddBias {
  T* x;
  const T* bias;
  LongDivisor n;
  After<T> after;
  __device__ void operator()(Index i) const { x[i] = after(x[i] + bias[n.remainder(i)], i); }
};

}  // namespace detail

template <class T>
void add_bias(Array<T>& x, const Array<T>& bias, const Epilogue<Array<T>>& after) {
  loru::detail::check_bias("add_bias", x, bias);
  const Array<T>& r = after.residual;
  if (r) require_same_shape("add_bias", x, r);
  detail::for_each(
      "add_bias", x.size(),
      detail::AddBias<T>{x.data(), bias.data(), LongDivisor(bias.size()), {r.data(), after.relu}});
}

namespace detail {

/// The gradient of a row and column where the result y is positive; it replaces dy.
template <class T>
struct MaskedTerms {
  const T* y;
  T* dy;
  Index c;
  __device__ Values<T, 1> operator()(Index, Index i, Index j) const {
    const Index at = i * c + j;
    return {dy[at] = scalar::relu_gradient(y[at], dy[at])};
  }
};

}  // namespace detail

template <class T>
BiasGradients<T, Cuda> add_bias_backward(const Array<T>& y, Array<T> dy) {
  if (!y) return {dy, column_sum(dy)};
  loru::detail::check_bias_gradient(y.shape(), dy.shape());
  Array<T> dx = detail::own(std::move(dy), Layout::row_major);
  const Index n = y.dim(1);
  const auto sums = detail::column_sums<T, 1>("add_bias_backward", 1, y.dim(0), n,
                                              detail::MaskedTerms<T>{y.data(), dx.data(), n});
  return {std::move(dx), sums.reinterpret({n}, Layout::row_major)};
}

}  // namespace loru::cuda
