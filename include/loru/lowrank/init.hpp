#pragma once
// Initial factors.

#include <algorithm>

#include <loru/linalg/svd.hpp>
#include <loru/nn/init.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// The factors of one weight.
template <class T, class D = Cpu>
struct Factors {
  Tensor<T, D> a, b;
};

/// Factors of the host on device D.
template <class D, class T>
Factors<T, D> to_device(const Factors<T>& f) {
  return {loru::to_device<D>(f.a), loru::to_device<D>(f.b)};
}

/// Shape of A for a weight of shape (m, n) or (m, Cin, kh, kw): the weight's with m replaced by the rank.
inline Shape factor_shape(const Shape& weight, Index rank) {
  return weight.rank() == 4 ? Shape{rank, weight[1], weight[2], weight[3]} : Shape{rank, weight[1]};
}

/// A Kaiming-uniform with a = √5 times `scale` (within ±scale / √fan_in), B zero: the product starts at zero.
template <class T>
Factors<T> initial_factors(const Shape& weight, Index rank, const rng::Stream& stream, double scale = 1.0) {
  Tensor<T> a = nn::initial_weight<T>(factor_shape(weight, rank), nn::Init::kaiming, stream);
  std::transform(a.data(), a.data() + a.size(), a.data(),
                 [&](T x) { return x * T(static_cast<Real<T>>(scale)); });
  return {a, nn::constant<T>({weight[0], rank}, 0.0)};
}

/// Factors of s·B·A = U·Σ·Vᵀ that share √Σ: B = U·√Σ / √s and A = √Σ·Vᵀ / √s, A of the given shape and
/// layout. Rows of A and columns of B beyond the triplets are zero. Throws ConfigError unless s > 0.
template <std::floating_point T>
Factors<T> balanced_factors(const linalg::Svd& svd, const Shape& shape, Layout layout, double s) {
  require<ConfigError>(s > 0.0, "balanced_factors: expected a scale > 0, got ", s);
  const Index rank = shape[0], m = svd.u.dim(0), n = svd.v.dim(0);
  const auto found = static_cast<Index>(svd.values.size());
  Factors<T> f{Tensor<T>(shape, layout), Tensor<T>(Shape{m, rank})};
  for (Index k = 0; k < rank; ++k) {
    const bool zero = k >= found;
    const double root = zero ? 0.0 : std::sqrt(svd.values[static_cast<std::size_t>(k)] / s);
    for (Index i = 0; i < m; ++i)
      f.b.data()[i * rank + k] = zero ? T(0) : static_cast<T>(root * svd.u.data()[i * found + k]);
    for (Index j = 0; j < n; ++j)
      f.a.data()[k * n + j] = zero ? T(0) : static_cast<T>(root * svd.v.data()[j * found + k]);
  }
  return f;
}

/// Best factors of rank r of s·B·A ≈ M in the Frobenius norm (Eckart and Young 1936), M of a weight's shape
/// and layout. Throws ShapeError if r > min(m, n), ConfigError unless s > 0.
template <std::floating_point T>
Factors<T> svd_factors(const Tensor<T>& matrix, Index rank, double s) {
  require<ConfigError>(s > 0.0, "svd_factors: expected a scale > 0, got ", s);
  const Index m = matrix.dim(0), n = matrix.size() / m;
  Tensor<double> wide(Shape{m, n});
  std::copy(matrix.data(), matrix.data() + matrix.size(), wide.data());
  return balanced_factors<T>(linalg::truncated_svd(wide, rank), factor_shape(matrix.shape(), rank),
                             matrix.layout(), s);
}

}  // namespace loru::inline LORU_ISA::lowrank
