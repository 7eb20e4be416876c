#pragma once
// The last directions of factors, and means of factors of different ranks.

#include <loru/linalg/norms.hpp>
#include <loru/lowrank/resize.hpp>
#include <loru/lowrank/stack.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// ‖B·A‖_F with A (r, n) and B (m, r), without the product: ‖B·A‖² = Σ_ij (BᵀB)_ij·(AAᵀ)_ij.
template <std::floating_point T>
double product_norm(const Tensor<T>& a, const Tensor<T>& b) {
  const Index r = a.dim(0), n = a.size() / r, m = b.dim(0);
  double sum = 0.0;
  for (Index i = 0; i < r; ++i)
    for (Index j = 0; j <= i; ++j) {
      double rows = 0.0, columns = 0.0;
      for (Index k = 0; k < n; ++k)
        rows += static_cast<double>(a.data()[i * n + k]) * static_cast<double>(a.data()[j * n + k]);
      for (Index k = 0; k < m; ++k)
        columns += static_cast<double>(b.data()[k * r + i]) * static_cast<double>(b.data()[k * r + j]);
      sum += (i == j ? 1.0 : 2.0) * rows * columns;
    }
  return std::sqrt(std::max(sum, 0.0));
}

/// Σ c_k·A_k and Σ c_k·B_k of factors padded with zeros to the rank, summed in double.
template <std::floating_point T>
Factors<T> padded_mean(const std::vector<Term<T>>& terms, Index rank) {
  const Tensor<T>&a = terms.front().a, &b = terms.front().b;
  Factors<T> mean{Tensor<T>(factor_shape(a.shape(), rank), a.layout()), Tensor<T>(Shape{b.dim(0), rank})};
  std::vector<double> sum_a(static_cast<std::size_t>(mean.a.size())),
      sum_b(static_cast<std::size_t>(mean.b.size()));
  for (const Term<T>& term : terms) {
    const Factors<T> f = resized(Factors<T>{term.a, term.b}, rank);
    for (std::size_t i = 0; i < sum_a.size(); ++i)
      sum_a[i] += term.weight * static_cast<double>(f.a.data()[i]);
    for (std::size_t i = 0; i < sum_b.size(); ++i)
      sum_b[i] += term.weight * static_cast<double>(f.b.data()[i]);
  }
  std::transform(sum_a.begin(), sum_a.end(), mean.a.data(), [](double x) { return static_cast<T>(x); });
  std::transform(sum_b.begin(), sum_b.end(), mean.b.data(), [](double x) { return static_cast<T>(x); });
  return mean;
}

/// The directions of a layer's factors from number `kept` on: A_t = A[kept:, :], B_t = B[:, kept:]. Computed
/// on the host.
template <class T, class D = Cpu>
struct Tail {
  Variable<T, D> a, b;
  Index kept = 0;

  /// ‖B_t‖_F·‖A_t‖_F.
  double norm() const {
    const Factors<T> t = parts();
    return linalg::norm(t.a) * linalg::norm(t.b);
  }

  /// Adds the derivative of weight·‖B_t‖_F·‖A_t‖_F to the factors' gradients; none where one of them is zero.
  void add_gradient(double weight) const {
    Factors<T> t = parts();
    const double norm_a = linalg::norm(t.a), norm_b = linalg::norm(t.b);
    if (!(weight * norm_a * norm_b > 0.0)) return;
    for (T& x : t.a.span()) x *= static_cast<T>(weight * norm_b / norm_a);
    for (T& x : t.b.span()) x *= static_cast<T>(weight * norm_a / norm_b);
    a.accumulate(loru::to_device<D>(t.a));
    b.accumulate(loru::to_device<D>(t.b));
  }

  /// The factors without these directions.
  Factors<T, D> head() const {
    return to_device<D>(resized(Factors<T>{to_host(a.value()), to_host(b.value())}, kept));
  }

 private:
  /// The factors with zeros for the other directions.
  Factors<T> parts() const {
    Factors<T> t{clone(to_host(a.value())), clone(to_host(b.value()))};
    const Index rank = t.b.dim(1), n = t.a.size() / rank, first = std::min(kept, rank);
    std::fill_n(t.a.data(), first * n, T(0));
    for (Index i = 0; i < t.b.dim(0); ++i) std::fill_n(t.b.data() + i * rank, first, T(0));
    return t;
  }
};

}  // namespace loru::inline LORU_ISA::lowrank
