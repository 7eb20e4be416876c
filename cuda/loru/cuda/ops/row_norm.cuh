#pragma once
// Normalisation of rows (layer norm, root-mean-square norm) with the residual sum before it, a warp a row:
// the formulas and the passes of include/loru/cpu/row_norm.hpp.

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/norm.cuh>

namespace loru::cuda {

namespace detail {

/// x, residual (or null), sum (as written where there is a residual, else x), y (rows, n); gamma, beta (n);
/// mean (null if not centred), inverse (rows).
template <class T>
struct RowNormOf {
  Index rows, n;
  const T *x, *residual, *gamma, *beta;
  T epsilon;
  T *sum, *y, *mean, *inverse;
};

/// The row of this thread's warp.
__device__ inline Index warp_row() { return static_cast<Index>(blockIdx.x) * fold_warps + threadIdx.x / 32; }

/// Σ f(j) over j < n by a warp; every lane gets it.
template <class T, class F>
__device__ T row_sum(Index n, F f) {
  T sum = T(0);
  for (Index j = threadIdx.x % 32; j < n; j += 32) sum += f(j);
  return fold_warp(sum, Plus{});
}

template <bool Centred, class T>
__global__ void __launch_bounds__(fold_threads) row_norm_kernel(const RowNormOf<T> p) {
  const Index row = warp_row(), n = p.n;
  if (row >= p.rows) return;
  const T share = T(1) / static_cast<T>(n);
  if (p.residual)
    for (Index j = row * n + threadIdx.x % 32; j < (row + 1) * n; j += 32) p.sum[j] = p.x[j] + p.residual[j];
  const T* const s = p.sum + row * n;
  const T mu = Centred ? row_sum<T>(n, [=](Index j) { return s[j]; }) * share : T(0);
  const T squares = row_sum<T>(n, [=](Index j) { return (s[j] - mu) * (s[j] - mu); });
  const T rho = scalar::inverse_deviation(squares * share, p.epsilon);
  for (Index j = threadIdx.x % 32; j < n; j += 32)
    p.y[row * n + j] = (s[j] - mu) * rho * p.gamma[j] + (Centred ? p.beta[j] : T(0));
  if (threadIdx.x % 32 > 0) return;
  if constexpr (Centred) p.mean[row] = mu;
  p.inverse[row] = rho;
}

/// x̂ = (s − μ)·ρ of a normalised row, with g = γ·dy.
template <bool Centred, class T>
struct KeptRows {
  const T *sum, *mean, *inverse, *gamma, *dy;
  Index n;
  __device__ T normal(Index row, Index j) const {
    const T centred = Centred ? sum[row * n + j] - mean[row] : sum[row * n + j];
    return centred * inverse[row];
  }
  __device__ T slope(Index row, Index j) const { return gamma[j] * dy[row * n + j]; }
};

/// dx = ρ·(g − mean(g) − x̂·mean(g·x̂)) + dsum; without mean(g) if not centred. dx may be dy, dsum null.
template <bool Centred, class T>
__global__ void __launch_bounds__(fold_threads)
    row_norm_backward_kernel(Index rows, const KeptRows<Centred, T> of, const T* dsum, T* dx) {
  const Index row = warp_row(), n = of.n;
  if (row >= rows) return;
  const T share = T(1) / static_cast<T>(n), rho = of.inverse[row];
  const T a = Centred ? row_sum<T>(n, [&](Index j) { return of.slope(row, j); }) * share : T(0);
  const T b = row_sum<T>(n, [&](Index j) { return of.slope(row, j) * of.normal(row, j); }) * share;
  for (Index j = threadIdx.x % 32; j < n; j += 32) {
    const T d = rho * (of.slope(row, j) - a - of.normal(row, j) * b);
    dx[row * n + j] = dsum ? d + dsum[row * n + j] : d;
  }
}

/// Terms of dβ, of a centred norm, and of dγ.
template <bool Centred, class T>
struct RowNormTerms {
  KeptRows<Centred, T> of;
  __device__ Values<T, Centred ? 2 : 1> operator()(Index, Index row, Index j) const {
    const T dy = of.dy[row * of.n + j], dgamma = dy * of.normal(row, j);
    if constexpr (Centred)
      return {dy, dgamma};
    else
      return {dgamma};
  }
};

inline dim3 row_blocks(Index rows) {
  return dim3(static_cast<unsigned>((rows + fold_warps - 1) / fold_warps));
}

template <bool Centred, class T>
RowNorm<T, Cuda> row_norm(const char* where, const Array<T>& x, const Array<T>& residual,
                          const Array<T>& gamma, const Array<T>& beta, double epsilon) {
  if constexpr (Centred)
    loru::detail::check_layer_norm(where, x, residual, gamma, beta);
  else
    loru::detail::check_row_norm(where, x, residual, gamma);
  const Index rows = x.dim(0), n = x.dim(1);
  RowNorm<T, Cuda> r{residual ? Array<T>(x.shape()) : x, Array<T>(x.shape()),
                     Centred ? Array<T>(Shape{rows}) : Array<T>(), Array<T>(Shape{rows})};
  if (rows > 0)
    launch(
        where, row_norm_kernel<Centred, T>, row_blocks(rows), dim3(fold_threads), 0, current_stream(),
        RowNormOf<T>{rows, n, x.data(), residual.data(), gamma.data(), beta.data(), static_cast<T>(epsilon),
                     r.sum.data(), r.y.data(), r.mean.data(), r.inverse_deviation.data()});
  return r;
}

/// dx, the sums, or both; dx overwrites dy if nothing else shares it.
template <bool Centred, class T>
RowNormGradients<T, Cuda> row_norm_backward(const char* where, Array<T> dy, const Array<T>& dsum,
                                            const RowNorm<T, Cuda>& kept, const Array<T>& gamma,
                                            RowNormWanted wanted) {
  loru::detail::check_row_norm_backward(where, dy, dsum, kept, gamma, Centred);
  const Index rows = dy.dim(0), n = dy.dim(1);
  RowNormGradients<T, Cuda> d;
  Array<T> dx = wanted.dx ? own(std::move(dy), Layout::row_major) : std::move(dy);
  const KeptRows<Centred, T> of{kept.sum.data(), kept.mean.data(), kept.inverse_deviation.data(),
                                gamma.data(),    dx.data(),        n};
  if (wanted.dgamma) {
    const auto sums = column_sums<T, Centred ? 2 : 1>(where, 1, rows, n, RowNormTerms<Centred, T>{of});
    if constexpr (Centred) {
      d.dgamma = Array<T>(Shape{n}), d.dbeta = Array<T>(Shape{n});
      for_each(where, n, Halves<T>{sums.data(), d.dbeta.data(), d.dgamma.data(), n});
    } else {
      d.dgamma = sums.reinterpret({n}, Layout::row_major);
    }
  }
  if (!wanted.dx) return d;
  if (rows > 0)
    launch(where, row_norm_backward_kernel<Centred, T>, row_blocks(rows), dim3(fold_threads), 0,
           current_stream(), rows, of, dsum.data(), dx.data());
  d.dx = std::move(dx);
  return d;
}

}  // namespace detail

template <class T>
RowNorm<T, Cuda> layer_norm(const Array<T>& x, const Array<T>& residual, const Array<T>& gamma,
                            const Array<T>& beta, double epsilon) {
  return detail::row_norm<true>("layer_norm", x, residual, gamma, beta, epsilon);
}

template <class T>
RowNormGradients<T, Cuda> layer_norm_backward(Array<T> dy, const Array<T>& dsum, const RowNorm<T, Cuda>& kept,
                                              const Array<T>& gamma, RowNormWanted wanted) {
  return detail::row_norm_backward<true>("layer_norm_backward", std::move(dy), dsum, kept, gamma, wanted);
}

template <class T>
RowNorm<T, Cuda> rms_norm(const Array<T>& x, const Array<T>& residual, const Array<T>& gamma,
                          double epsilon) {
  return detail::row_norm<false>("rms_norm", x, residual, gamma, Array<T>(), epsilon);
}

template <class T>
RowNormGradients<T, Cuda> rms_norm_backward(Array<T> dy, const Array<T>& dsum, const RowNorm<T, Cuda>& kept,
                                            const Array<T>& gamma, RowNormWanted wanted) {
  return detail::row_norm_backward<false>("rms_norm_backward", std::move(dy), dsum, kept, gamma, wanted);
}

}  // namespace loru::cuda
