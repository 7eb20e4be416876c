#pragma once
// Sums of products of factors, kept as factors.

#include <vector>

#include <loru/lowrank/init.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// One summand c·B·A with A (r, n) and B (m, r); ranks may differ between summands.
template <class T>
struct Term {
  double weight = 1.0;
  Tensor<T> a, b;
};

/// Factors of Σ c_k·B_k·A_k: A = [c_1·A_1; c_2·A_2; …] (R, n) and B = [B_1 B_2 …] (m, R), R the sum of the
/// ranks. A convolution's A keeps its window. Source: Wang et al. (FLoRA), arXiv 2409.05976, section 3.
/// Throws ShapeError if there is no term or extents differ.
template <std::floating_point T>
Factors<T> stack(const std::vector<Term<T>>& terms) {
  require<ShapeError>(!terms.empty(), "stack: expected at least one term, got none");
  const Tensor<T>& first = terms.front().a;
  const Index m = terms.front().b.dim(0), n = first.size() / std::max<Index>(first.dim(0), 1);
  Index rank = 0;
  for (const Term<T>& t : terms) {
    require<ShapeError>(
        t.b.size() == m * t.a.dim(0) && t.a.size() == n * t.a.dim(0) && t.a.layout() == first.layout(),
        "stack: expected factors of (", m, ", ", n, "), got A ", t.a.shape(), " and B ", t.b.shape());
    rank += t.a.dim(0);
  }
  Shape shape{rank};
  for (Index i = 1; i < first.rank(); ++i) shape.push_back(first.dim(i));
  Factors<T> sum{Tensor<T>(shape, first.layout()), Tensor<T>(Shape{m, rank})};
  Index row = 0;
  for (const Term<T>& t : terms) {
    const Index r = t.a.dim(0);
    for (Index i = 0; i < r * n; ++i)
      sum.a.data()[row * n + i] = static_cast<T>(t.weight * static_cast<double>(t.a.data()[i]));
    for (Index i = 0; i < m; ++i) std::copy_n(t.b.data() + i * r, r, sum.b.data() + i * rank + row);
    row += r;
  }
  return sum;
}

/// The best factors of rank r of s·B·A ≈ P for the product P of given factors (Eckart and Young 1936),
/// without forming P: B = U·√Σ / √s, A = √Σ·Vᵀ / √s. Where P has fewer than r directions the rest of A and B
/// is zero. Throws ConfigError unless s > 0 and r >= 1.
template <std::floating_point T>
Factors<T> truncate(const Factors<T>& product, Index rank, double s) {
  require<ConfigError>(rank >= 1, "truncate: expected rank >= 1, got ", rank);
  const Index m = product.b.dim(0), inner = product.a.dim(0), n = product.a.size() / inner;
  Tensor<double> b(Shape{m, inner}), a(Shape{inner, n});
  std::copy_n(product.b.data(), b.size(), b.data());
  std::copy_n(product.a.data(), a.size(), a.data());
  return balanced_factors<T>(linalg::product_svd(b, a, std::min({rank, m, n, inner})),
                             factor_shape(product.a.shape(), rank), product.a.layout(), s);
}

}  // namespace loru::inline LORU_ISA::lowrank
