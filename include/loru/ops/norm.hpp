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

namespace detail {

/// The values of an image's groups, each repeated for its channels: out[c] = of_groups[c / (C / groups)].
template <Scalar T>
void spread_groups(const T* of_groups, Index channels, Index groups, T* out) {
  for (Index g = 0; g < groups; ++g)
    std::fill(out + g * (channels / groups), out + (g + 1) * (channels / groups), of_groups[g]);
}

/// The other way round: out[g] = weight · Σ of_channels[c] over the group's channels.
template <Scalar T>
void gather_groups(const T* of_channels, Index channels, Index groups, T weight, T* out) {
  const Index width = channels / groups;
  for (Index g = 0; g < groups; ++g) {
    T sum = T(0);
    for (Index c = g * width; c < (g + 1) * width; ++c) sum += of_channels[c];
    out[g] = weight * sum;
  }
}

/// μ and ρ of image n, channel by channel: shape (2, C).
template <Scalar T>
Tensor<T> image_moments(const Moments<T>& moments, Index n, Index channels) {
  const Index groups = moments.mean.dim(1);
  Tensor<T> rows(Shape{2, channels});
  spread_groups(moments.mean.data() + n * groups, channels, groups, rows.data());
  spread_groups(moments.inverse_deviation.data() + n * groups, channels, groups, rows.data() + channels);
  return rows;
}

}  // namespace detail

/// Moments of every group of C / groups channels of every image: shape (N, groups).
template <Scalar T>
Moments<T> group_moments(const Tensor<T>& x_any, Index groups, double epsilon) {
  detail::check_groups(x_any.shape(), groups);
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index n = x.dim(0), c = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const T weight = T(Real<T>(1) / static_cast<Real<T>>(pixels * (c / groups)));
  Tensor<T> mean(Shape{n, groups}), variance(Shape{n, groups}), spread(Shape{c});
  for (Index i = 0; i < n; ++i) {
    const T* in = x.data() + i * pixels * c;
    Tensor<T> sums = detail::zeros<T>({c}), squares = detail::zeros<T>({c});
    detail::column_sums(pixels, c, sums.data(), [=](Index p, Index j) { return in[p * c + j]; });
    detail::gather_groups(sums.data(), c, groups, weight, mean.data() + i * groups);
    detail::spread_groups(mean.data() + i * groups, c, groups, spread.data());
    const T* mu = spread.data();
    detail::column_sums(pixels, c, squares.data(), [=](Index p, Index j) {
      const T d = in[p * c + j] - mu[j];
      return d * d;
    });
    detail::gather_groups(squares.data(), c, groups, weight, variance.data() + i * groups);
  }
  return fixed_moments(mean, variance, epsilon);
}

/// y = γ·(x − μ)·ρ + β with moments per image and group.
template <Scalar T>
Tensor<T> group_norm(const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
                     const Tensor<T>& beta) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index c = x.dim(1), pixels = x.dim(2) * x.dim(3);
  detail::check_norm("group_norm", x.shape(), gamma.shape());
  Tensor<T> y(x.shape(), Layout::channels_last);
  const T *g = gamma.data(), *b = beta.data();
  for (Index n = 0; n < x.dim(0); ++n) {
    const Tensor<T> rows = detail::image_moments(moments, n, c);
    const T *mu = rows.data(), *rho = mu + c, *in = x.data() + n * pixels * c;
    T* out = y.data() + n * pixels * c;
    for (Index p = 0; p < pixels; ++p, in += c, out += c)
      for (Index j = 0; j < c; ++j) out[j] = (in[j] - mu[j]) * (rho[j] * g[j]) + b[j];
  }
  return y;
}

/// Backward pass of group_norm: dx = ρ·(γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂)) with means over the group.
template <Scalar T>
NormGradients<T> group_norm_backward(const Tensor<T>& dy_any, const Tensor<T>& x_any,
                                     const Moments<T>& moments, const Tensor<T>& gamma) {
  const Tensor<T> x = to_layout(x_any, Layout::channels_last), dy = to_layout(dy_any, Layout::channels_last);
  require_same_shape("group_norm_backward", x, dy);
  const Index groups = moments.mean.dim(1), c = x.dim(1), pixels = x.dim(2) * x.dim(3);
  NormGradients<T> grads{Tensor<T>(x.shape(), Layout::channels_last), detail::zeros<T>({c}),
                         detail::zeros<T>({c})};
  const T weight = T(Real<T>(1) / static_cast<Real<T>>(pixels * (c / groups)));
  Tensor<T> means(Shape{2, groups}), spread(Shape{2, c});
  for (Index n = 0; n < x.dim(0); ++n) {
    const Tensor<T> rows = detail::image_moments(moments, n, c);
    const T *in = x.data() + n * pixels * c, *d = dy.data() + n * pixels * c, *mu = rows.data(),
            *rho = mu + c;
    const T* g = gamma.data();
    Tensor<T> sums = detail::zeros<T>({2, c});  // Σ dy and Σ dy·x̂ per channel
    T *sum = sums.data(), *product = sum + c;
    detail::column_sums(pixels, c, sum, [=](Index p, Index j) { return d[p * c + j]; });
    detail::column_sums(pixels, c, product,
                        [=](Index p, Index j) { return d[p * c + j] * ((in[p * c + j] - mu[j]) * rho[j]); });
    for (Index j = 0; j < c; ++j) {
      grads.dbeta.data()[j] += sum[j];
      grads.dgamma.data()[j] += product[j];
      sum[j] *= g[j];
      product[j] *= g[j];
    }
    for (Index k = 0; k < 2; ++k) {
      detail::gather_groups(sum + k * c, c, groups, weight, means.data() + k * groups);
      detail::spread_groups(means.data() + k * groups, c, groups, spread.data() + k * c);
    }
    const T *mean = spread.data(), *mean_product = mean + c;
    T* dx = grads.dx.data() + n * pixels * c;
    for (Index p = 0; p < pixels; ++p, dx += c, d += c, in += c)
      for (Index j = 0; j < c; ++j)
        dx[j] = rho[j] * (g[j] * d[j] - mean[j] - ((in[j] - mu[j]) * rho[j]) * mean_product[j]);
  }
  return grads;
}

}  // namespace loru
