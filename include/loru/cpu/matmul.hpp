#pragma once
// Matrix products on host tensors.

#include <loru/core/blocks.hpp>
#include <loru/cpu/dual.hpp>
#include <loru/cpu/gemm/gemm.hpp>
#include <loru/cpu/rows.hpp>
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

/// a · W or a · Wᵀ with W in blocks, decoded panel by panel: the bits are those of the product with
/// decoded(w).
inline Tensor<float> matmul(const Tensor<float>& a, const BlockTensor& w, MatmulOptions o) {
  const auto [m, n, k] = detail::product_shape(a.shape(), w.shape, o);
  require<ShapeError>(o.a == Op::none,
                      "matmul: expected a matrix that is not transposed before one in blocks");
  const bool across = o.b == Op::transpose;  // a panel gives columns of c, else a part of each sum
  const Index rows = w.dim(0), columns = w.dim(1);
  Tensor<float> c(Shape{m, n}), panel(Shape{std::min(rows, cpu::depth_block), columns});
  for (Index first = 0; first == 0 || first < rows; first += cpu::depth_block) {
    const Index count = std::min(cpu::depth_block, rows - first);
    parallel_blocks(count, cpu::piece_rows(columns), [&](Index from, Index to) {
      decode_rows(w, first + from, to - from, panel.data() + from * columns);
    });
    const float* left = a.data() + (across ? 0 : first);
    float* result = c.data() + (across ? first : 0);
    cpu::gemm<float>(Op::none, o.b, m, across ? count : n, across ? k : count, 1.0f, {left, a.dim(1)},
                     {panel.data(), columns}, across || first == 0 ? 0.0f : 1.0f, {result, n});
  }
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
