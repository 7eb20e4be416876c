#pragma once
// Batch and group normalisation on host tensors, channels-last.
//
// Both compute x̂ = (x − μ)·ρ with ρ = 1 / √(σ² + ε) and y = γ·x̂ + β; they differ in what shares μ and σ²: a channel
// over the batch (Ioffe and Szegedy 2015), or a group of channels of one image (Wu and He 2018).

#include <cmath>

#include <loru/ops/elementwise.hpp>
#include <loru/ops/reduce.hpp>
#include <loru/ops/types.hpp>

namespace loru {

/// Moments from a given mean and biased variance.
template <Scalar T>
Moments<T> fixed_moments(const Tensor<T>& mean, const Tensor<T>& variance, double epsilon) {
  using std::sqrt;
  require_same_shape("fixed_moments", mean, variance);
  Tensor<T> inverse(mean.shape());
  for (Index j = 0; j < mean.size(); ++j)
    inverse.data()[j] = T(1) / sqrt(variance.data()[j] + T(static_cast<Real<T>>(epsilon)));
  return {mean, variance, inverse};
}

namespace detail {

template <Scalar T>
Tensor<T> zeros(const Shape& shape) {
  Tensor<T> z(shape);
  fill(z, T(0));
  return z;
}

inline void check_norm(const char* where, const Shape& x, const Shape& gamma) {
  require<ShapeError>(x.rank() == 4 && gamma == Shape{x[1]}, where, ": expected rank 4 and ", gamma,
                      " channels, got ", x);
}

inline void check_groups(const Shape& x, Index groups) {
  require<ShapeError>(x.rank() == 4, "group_norm: expected rank 4, got ", x);
  require<ShapeError>(groups > 0 && x[1] % groups == 0, "group_norm: ", groups, " groups do not divide ",
                      x[1], " channels");
}

}  // namespace detail

/// Moments of every channel over N, H and W of x (N, C, H, W).
template <Scalar T>
Moments<T> batch_moments(const Tensor<T>& x_any, double epsilon) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index c = x.dim(1), rows = x.size() / std::max<Index>(c, 1);
  require<ShapeError>(rows > 0, "batch_norm: expected at least one pixel, got ", x.shape());
  const T* in = x.data();
  const T weight = T(Real<T>(1) / static_cast<Real<T>>(rows));
  Tensor<T> mean = detail::zeros<T>({c}), variance = detail::zeros<T>({c});
  T *mu = mean.data(), *var = variance.data();
  detail::column_sums(rows, c, mu, [=](Index i, Index j) { return in[i * c + j]; });
  for (Index j = 0; j < c; ++j) mu[j] *= weight;
  detail::column_sums(rows, c, var, [=](Index i, Index j) {
    const T d = in[i * c + j] - mu[j];
    return d * d;
  });
  for (Index j = 0; j < c; ++j) var[j] *= weight;
  return fixed_moments(mean, variance, epsilon);
}

/// y = γ·(x − μ)·ρ + β with given moments per channel.
template <Scalar T>
Tensor<T> batch_norm(const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
                     const Tensor<T>& beta) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  detail::check_norm("batch_norm", x.shape(), gamma.shape());
  const Index c = x.dim(1), rows = x.size() / c;
  Tensor<T> y(x.shape(), Layout::channels_last);
  const T *mu = moments.mean.data(), *rho = moments.inverse_deviation.data(), *g = gamma.data(),
          *b = beta.data();
  for (Index i = 0; i < rows; ++i) {
    const T* in = x.data() + i * c;
    T* out = y.data() + i * c;
    for (Index j = 0; j < c; ++j) out[j] = (in[j] - mu[j]) * (rho[j] * g[j]) + b[j];
  }
  return y;
}

/// Backward pass of batch_norm whose moments came from x itself (training): with g = γ·ρ and M = N·H·W,
/// dx = g·(dy − Σdy / M − x̂·Σ(dy·x̂) / M), dγ = Σ dy·x̂, dβ = Σ dy. With `fixed` moments (evaluation) dx = g·dy.
template <Scalar T>
NormGradients<T> batch_norm_backward(const Tensor<T>& dy_any, const Tensor<T>& x_any,
                                     const Moments<T>& moments, const Tensor<T>& gamma, bool fixed) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last), dy = to_layout(dy_any, Layout::channels_last);
  require_same_shape("batch_norm_backward", x, dy);
  const Index c = x.dim(1), rows = x.size() / c;
  NormGradients<T> grads{Tensor<T>(x.shape(), Layout::channels_last), detail::zeros<T>({c}),
                         detail::zeros<T>({c})};
  const T *in = x.data(), *d = dy.data();
  const T *mu = moments.mean.data(), *rho = moments.inverse_deviation.data(), *g = gamma.data();
  T *dgamma = grads.dgamma.data(), *dbeta = grads.dbeta.data(), *dx = grads.dx.data();
  detail::column_sums(rows, c, dbeta, [=](Index i, Index j) { return d[i * c + j]; });
  detail::column_sums(rows, c, dgamma,
                      [=](Index i, Index j) { return d[i * c + j] * ((in[i * c + j] - mu[j]) * rho[j]); });
  const T weight = T(fixed ? Real<T>(0) : Real<T>(1) / static_cast<Real<T>>(rows));
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < c; ++j) {
      const Index at = i * c + j;
      const T normal = (in[at] - mu[j]) * rho[j];
      dx[at] = g[j] * rho[j] * (d[at] - weight * (dbeta[j] + normal * dgamma[j]));
    }
  return grads;
}

/// Moments of every group of C / groups channels of every image: shape (N, groups).
template <Scalar T>
Moments<T> group_moments(const Tensor<T>& x_any, Index groups, double epsilon) {
  detail::check_groups(x_any.shape(), groups);
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index n = x.dim(0), c = x.dim(1), pixels = x.dim(2) * x.dim(3), width = c / groups;
  const T weight = T(Real<T>(1) / static_cast<Real<T>>(pixels * width));
  Tensor<T> mean = detail::zeros<T>({n, groups}), variance = detail::zeros<T>({n, groups});
  for (Index i = 0; i < n; ++i) {
    const T* in = x.data() + i * pixels * c;
    Tensor<T> sums = detail::zeros<T>({c}), squares = detail::zeros<T>({c});
    detail::column_sums(pixels, c, sums.data(), [=](Index p, Index j) { return in[p * c + j]; });
    T* mu = mean.data() + i * groups;
    for (Index j = 0; j < c; ++j) mu[j / width] += weight * sums.data()[j];
    detail::column_sums(pixels, c, squares.data(), [=](Index p, Index j) {
      const T d = in[p * c + j] - mu[j / width];
      return d * d;
    });
    for (Index j = 0; j < c; ++j) variance.data()[i * groups + j / width] += weight * squares.data()[j];
  }
  return fixed_moments(mean, variance, epsilon);
}

/// y = γ·(x − μ)·ρ + β with moments per image and group.
template <Scalar T>
Tensor<T> group_norm(const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
                     const Tensor<T>& beta) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index groups = moments.mean.dim(1), c = x.dim(1), pixels = x.dim(2) * x.dim(3), width = c / groups;
  detail::check_norm("group_norm", x.shape(), gamma.shape());
  Tensor<T> y(x.shape(), Layout::channels_last);
  for (Index i = 0; i < x.dim(0) * pixels; ++i) {
    const T *mu = moments.mean.data() + i / pixels * groups,
            *rho = moments.inverse_deviation.data() + i / pixels * groups;
    for (Index j = 0; j < c; ++j)
      y.data()[i * c + j] =
          (x.data()[i * c + j] - mu[j / width]) * rho[j / width] * gamma.data()[j] + beta.data()[j];
  }
  return y;
}

/// Backward pass of group_norm: dx = ρ·(γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂)) with means over the group.
template <Scalar T>
NormGradients<T> group_norm_backward(const Tensor<T>& dy_any, const Tensor<T>& x_any,
                                     const Moments<T>& moments, const Tensor<T>& gamma) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last), dy = to_layout(dy_any, Layout::channels_last);
  require_same_shape("group_norm_backward", x, dy);
  const Index groups = moments.mean.dim(1), c = x.dim(1), pixels = x.dim(2) * x.dim(3), width = c / groups;
  NormGradients<T> grads{Tensor<T>(x.shape(), Layout::channels_last), detail::zeros<T>({c}),
                         detail::zeros<T>({c})};
  const T weight = T(Real<T>(1) / static_cast<Real<T>>(pixels * width));
  const T* g = gamma.data();
  for (Index n = 0; n < x.dim(0); ++n) {
    const T *in = x.data() + n * pixels * c, *d = dy.data() + n * pixels * c;
    const T *mu = moments.mean.data() + n * groups, *rho = moments.inverse_deviation.data() + n * groups;
    const auto normal = [=](Index p, Index j) { return (in[p * c + j] - mu[j / width]) * rho[j / width]; };
    Tensor<T> sums = detail::zeros<T>({c}), products = detail::zeros<T>({c});  // Σ dy and Σ dy·x̂ per channel
    detail::column_sums(pixels, c, sums.data(), [=](Index p, Index j) { return d[p * c + j]; });
    detail::column_sums(pixels, c, products.data(),
                        [=](Index p, Index j) { return d[p * c + j] * normal(p, j); });
    Tensor<T> mean = detail::zeros<T>({groups}), mean_product = detail::zeros<T>({groups});
    for (Index j = 0; j < c; ++j) {
      grads.dbeta.data()[j] += sums.data()[j];
      grads.dgamma.data()[j] += products.data()[j];
      mean.data()[j / width] += weight * g[j] * sums.data()[j];
      mean_product.data()[j / width] += weight * g[j] * products.data()[j];
    }
    T* dx = grads.dx.data() + n * pixels * c;
    for (Index p = 0; p < pixels; ++p)
      for (Index j = 0; j < c; ++j)
        dx[p * c + j] = rho[j / width] * (g[j] * d[p * c + j] - mean.data()[j / width] -
                                          normal(p, j) * mean_product.data()[j / width]);
  }
  return grads;
}

}  // namespace loru
