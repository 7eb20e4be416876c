#pragma once
// Matrix products on host tensors.

#include <loru/cpu/dual.hpp>
#include <loru/cpu/gemm/gemm.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// c = alpha · op(a) · op(b) + beta · c. Throws ShapeError unless op(a) (m, k), op(b) (k, n), c (m, n).
template <std::floating_point T>
void matmul_into(Tensor<T>& c, T alpha, const Tensor<T>& a, const Tensor<T>& b, MatmulOptions o, T beta) {
  const auto [m, n, k] = detail::product_shape(a, b, o);
  detail::check_product(c.shape(), m, n);
  cpu::gemm<T>(o.a, o.b, m, n, k, alpha, {a.data(), a.dim(1)}, {b.data(), b.dim(1)}, beta, {c.data(), n});
}

/// op(a) · op(b): shape (m, n).
template <std::floating_point T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b, MatmulOptions o) {
  const auto [m, n, k] = detail::product_shape(a, b, o);
  Tensor<T> c(Shape{m, n});
  matmul_into(c, T(1), a, b, o, T(0));
  return c;
}

template <std::floating_point T>
Tensor<Dual<T>> matmul(const Tensor<Dual<T>>& a, const Tensor<Dual<T>>& b, MatmulOptions o) {
  return cpu::bilinear(a, b, [o](const Tensor<T>& x, const Tensor<T>& y) { return matmul(x, y, o); });
}

template <std::floating_point T>
void matmul_into(Tensor<Dual<T>>& c, T alpha, const Tensor<Dual<T>>& a, const Tensor<Dual<T>>& b,
                 MatmulOptions o, T beta) {
  const Parts<T> x = split(a), y = split(b);
  Parts<T> z = split(c);
  matmul_into(z.value, alpha, x.value, y.value, o, beta);
  matmul_into(z.tangent, alpha, x.value, y.tangent, o, beta);
  matmul_into(z.tangent, alpha, x.tangent, y.value, o, T(1));
  c = join(z.value, z.tangent);
}

}  // namespace loru::inline LORU_ISA
