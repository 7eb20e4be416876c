#pragma once
// Normalisation of rows (layer norm, root-mean-square norm) with the residual sum before it, on host tensors.
//
// Both compute y = γ·x̂ + β with x̂ = (s − μ)·ρ of s = x + residual; μ is zero and there is no β in a
// root-mean-square norm. Every row is on its own: its bits do not depend on the other rows.

#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// Σ f(j)[k] over j < n, K sums in 16 interleaved parts each, so that neither latency nor rounding piles up.
template <std::size_t K, Scalar T, class F>
std::array<T, K> row_sums(Index n, F f) {
  constexpr std::size_t width = 16;
  T parts[K][width] = {};
  Index j = 0;
  for (; j + static_cast<Index>(width) <= n; j += static_cast<Index>(width))
    for (std::size_t lane = 0; lane < width; ++lane) {
      const std::array<T, K> v = f(j + static_cast<Index>(lane));
      for (std::size_t k = 0; k < K; ++k) parts[k][lane] += v[k];
    }
  for (std::size_t lane = 0; j < n; ++j, ++lane) {
    const std::array<T, K> v = f(j);
    for (std::size_t k = 0; k < K; ++k) parts[k][lane] += v[k];
  }
  std::array<T, K> total{};
  for (std::size_t k = 0; k < K; ++k)
    for (const T& part : parts[k]) total[k] += part;
  return total;
}

/// y = γ·(s − μ)·ρ + β of one row and returns μ and ρ.
template <bool Centred, Scalar T>
std::array<T, 2> norm_row(Index n, const T* s, const T* gamma, const T* beta, T epsilon, T* y) {
  const T share = T(Real<T>(1) / static_cast<Real<T>>(n));
  T mu = T(0);
  if constexpr (Centred) mu = row_sums<1, T>(n, [s](Index j) { return std::array<T, 1>{s[j]}; })[0] * share;
  const T squares = row_sums<1, T>(n, [s, mu](Index j) {
    const T d = s[j] - mu;
    return std::array<T, 1>{d * d};
  })[0];
  const T rho = scalar::inverse_deviation(squares * share, epsilon);
  if constexpr (Centred)
    for (Index j = 0; j < n; ++j) y[j] = (s[j] - mu) * rho * gamma[j] + beta[j];
  else
    for (Index j = 0; j < n; ++j) y[j] = s[j] * rho * gamma[j];
  return {mu, rho};
}

template <bool Centred, Scalar T>
RowNorm<T> row_norm(const Tensor<T>& x, const Tensor<T>& residual, const Tensor<T>& gamma,
                    const Tensor<T>& beta, double epsilon) {
  const Index rows = x.dim(0), n = x.dim(1);
  RowNorm<T> r{residual ? Tensor<T>(x.shape()) : x, Tensor<T>(x.shape()),
               Centred ? Tensor<T>(Shape{rows}) : Tensor<T>(), Tensor<T>(Shape{rows})};
  const T *in = x.data(), *other = residual.data(), *g = gamma.data(), *b = beta.data();
  const T* sums = std::as_const(r.sum).data();
  T *sum = r.sum.data(), *y = r.y.data(), *mean = r.mean.data(), *inverse = r.inverse_deviation.data();
  const T small = T(static_cast<Real<T>>(epsilon));
  parallel_blocks(rows, piece_rows(n), [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      if (other)
        for (Index j = i * n; j < (i + 1) * n; ++j) sum[j] = in[j] + other[j];
      const auto [mu, rho] = norm_row<Centred>(n, sums + i * n, g, b, small, y + i * n);
      if constexpr (Centred) mean[i] = mu;
      inverse[i] = rho;
    }
  });
  return r;
}

/// dx = ρ·(g − mean(g) − x̂·mean(g·x̂)) + dsum of one row with g = γ·dy; without mean(g) if not centred. dx
/// may be dy.
template <bool Centred, Scalar T>
void norm_row_backward(Index n, const T* dy, const T* dsum, const T* s, T mu, T rho, const T* gamma, T* dx) {
  const T share = T(Real<T>(1) / static_cast<Real<T>>(n));
  const auto [sum, along] = row_sums<2, T>(n, [=](Index j) {
    const T g = gamma[j] * dy[j];
    return std::array<T, 2>{g, g * ((s[j] - mu) * rho)};
  });
  const T a = Centred ? sum * share : T(0), b = along * share;
  if (dsum)
    for (Index j = 0; j < n; ++j) dx[j] = rho * (gamma[j] * dy[j] - a - (s[j] - mu) * rho * b) + dsum[j];
  else
    for (Index j = 0; j < n; ++j) dx[j] = rho * (gamma[j] * dy[j] - a - (s[j] - mu) * rho * b);
}

template <bool Centred, Scalar T>
RowNormGradients<T> row_norm_backward(Tensor<T> dy, const Tensor<T>& dsum, const RowNorm<T>& kept,
                                      const Tensor<T>& gamma, RowNormWanted wanted) {
  const Index rows = dy.dim(0), n = dy.dim(1);
  RowNormGradients<T> d;
  const T *s = kept.sum.data(), *g = gamma.data(), *more = dsum.data();
  const T *mean = kept.mean.data(), *inverse = kept.inverse_deviation.data();
  if (wanted.dgamma) {
    constexpr std::size_t count = Centred ? 2 : 1;
    Tensor<T> sums(Shape{static_cast<Index>(count), n});
    const T* in = std::as_const(dy).data();
    column_sums<count>(rows, n, sums.data(), [=](Index i, Index j) {
      const T v = in[i * n + j], mu = Centred ? mean[i] : T(0);
      std::array<T, count> terms{v * ((s[i * n + j] - mu) * inverse[i])};
      if constexpr (Centred) terms[1] = v;
      return terms;
    });
    d.dgamma = Tensor<T>(Shape{n});
    std::copy(sums.data(), sums.data() + n, d.dgamma.data());
    if constexpr (Centred) {
      d.dbeta = Tensor<T>(Shape{n});
      std::copy(sums.data() + n, sums.data() + 2 * n, d.dbeta.data());
    }
  }
  if (!wanted.dx) return d;
  d.dx = own(std::move(dy), Layout::row_major);
  T* dx = d.dx.data();
  parallel_blocks(rows, piece_rows(n), [=](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      norm_row_backward<Centred>(n, dx + i * n, more ? more + i * n : nullptr, s + i * n,
                                 Centred ? mean[i] : T(0), inverse[i], g, dx + i * n);
  });
  return d;
}

}  // namespace cpu

/// sum = x + residual and y = γ·(sum − μ)·ρ + β row by row, with mean μ and ρ = 1 / √(σ² + ε) of the row's
/// biased variance: x (M, n), residual of its shape or empty, γ and β (n). Source: Ba, Kiros and Hinton,
/// arXiv 1607.06450. Throws ShapeError.
template <Scalar T>
RowNorm<T> layer_norm(const Tensor<T>& x, const Tensor<T>& residual, const Tensor<T>& gamma,
                      const Tensor<T>& beta, double epsilon) {
  detail::check_layer_norm("layer_norm", x, residual, gamma, beta);
  return cpu::row_norm<true>(x, residual, gamma, beta, epsilon);
}

/// Backward pass of layer_norm: dx, which is also the residual's, = ρ·(g − mean(g) − x̂·mean(g·x̂)) + dsum
/// with g = γ·dy; dγ = Σ dy·x̂, dβ = Σ dy over rows. dsum is what the sum has from elsewhere, or empty; of
/// what was kept, y is not read. Uses dy's buffer if nothing else shares it. Throws ShapeError.
template <Scalar T>
RowNormGradients<T> layer_norm_backward(Tensor<T> dy, const Tensor<T>& dsum, const RowNorm<T>& kept,
                                        const Tensor<T>& gamma, RowNormWanted wanted) {
  detail::check_row_norm_backward("layer_norm_backward", dy, dsum, kept, gamma, true);
  return cpu::row_norm_backward<true>(std::move(dy), dsum, kept, gamma, wanted);
}

/// sum = x + residual and y = γ·sum·ρ row by row with ρ = 1 / √(mean(sum²) + ε). Source: Zhang and Sennrich,
/// arXiv 1910.07467. Throws ShapeError.
template <Scalar T>
RowNorm<T> rms_norm(const Tensor<T>& x, const Tensor<T>& residual, const Tensor<T>& gamma, double epsilon) {
  detail::check_row_norm("rms_norm", x, residual, gamma);
  return cpu::row_norm<false>(x, residual, gamma, {}, epsilon);
}

/// Backward pass of rms_norm: dx = ρ·(g − x̂·mean(g·x̂)) + dsum with g = γ·dy and x̂ = sum·ρ; dγ = Σ dy·x̂.
template <Scalar T>
RowNormGradients<T> rms_norm_backward(Tensor<T> dy, const Tensor<T>& dsum, const RowNorm<T>& kept,
                                      const Tensor<T>& gamma, RowNormWanted wanted) {
  detail::check_row_norm_backward("rms_norm_backward", dy, dsum, kept, gamma, false);
  return cpu::row_norm_backward<false>(std::move(dy), dsum, kept, gamma, wanted);
}

}  // namespace loru::inline LORU_ISA
