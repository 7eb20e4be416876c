#pragma once
// Replacing the parametrisation of chosen layers by W + s·B·R·A.

#include <loru/linalg/qr.hpp>
#include <loru/lowrank/factorize.hpp>
#include <loru/nn/core_factored.hpp>

namespace loru::inline LORU_ISA::lowrank {

/// A matrix (m, r) with orthonormal columns, r <= m: Q of the decomposition of a Gaussian one. A template, as
/// the decompositions are, so that only sources that call it compile one.
template <std::same_as<double> T>
Tensor<T> orthonormal(Index m, Index r, rng::Stream stream) {
  Tensor<T> gaussian(Shape{m, r});
  for (T& x : gaussian.span()) x = stream.normal();
  return linalg::thin_qr(gaussian).q;
}

/// Fixed factors of a weight of this shape: B with orthonormal columns, A with orthonormal rows, A's window
/// elements in row-major order.
template <class T>
Factors<T> orthonormal_factors(const Shape& weight, Index rank, const rng::Stream& stream) {
  const Shape shape = factor_shape(weight, rank);
  Tensor<T> a(shape), b(Shape{weight[0], rank});
  const Index n = a.size() / rank;
  const Tensor<double> rows = orthonormal<double>(n, rank, stream.fork(0)),
                       columns = orthonormal<double>(weight[0], rank, stream.fork(1));
  for (Index k = 0; k < rank; ++k)
    for (Index j = 0; j < n; ++j) a.data()[k * n + j] = T(static_cast<Real<T>>(rows.data()[j * rank + k]));
  for (Index i = 0; i < b.size(); ++i) b.data()[i] = T(static_cast<Real<T>>(columns.data()[i]));
  return {a, b};
}

/// Gives every layer that the options choose the weight W + s·B·R·A with W, A and B frozen and R zero, of
/// the chosen rank or of min(m, n) if that is less; the effective weights stay the same. A and B are
/// orthonormal, from the seed. Returns the layers' names. Throws ConfigError, and changes nothing, as
/// factorize() does, and for start = svd.
template <class T, class D>
std::vector<std::string> factorize_core(nn::Model<T, D>& model, const FactorizeOptions& o) {
  require<ConfigError>(o.start == Start::zero,
                       "factorize: start: expected zero for a core between fixed factors");
  return detail::replace_chosen(
      model, o, [&](const Variable<T, D>& w, Index wanted, const rng::Stream& stream) {
        const Index m = w.shape()[0], rank = std::min({wanted, m, w.shape().size() / m});
        const auto f = orthonormal_factors<T>(w.shape(), rank, stream);
        return nn::CoreFactored<T, D>(w, loru::to_device<D>(to_layout(f.a, w.layout())),
                                      loru::to_device<D>(f.b), detail::factor_options<T, D>(o, rank));
      });
}

}  // namespace loru::inline LORU_ISA::lowrank
