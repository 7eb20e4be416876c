#pragma once
// Batch normalisation with the batch's own moments, channels-last: a pass over the rows that folds what their
// columns need, and one that folds the pieces and goes over the rows again.

#include <loru/cuda/ops/epilogue.cuh>
#include <loru/cuda/ops/moments.cuh>

namespace loru::cuda {

namespace detail {

using loru::detail::NormShape;

/// The normalisation at element `at` of x, channel j: z = (x − μ)·ρ·γ + β.
template <class T>
struct Affine {
  const T *x, *mean, *inverse, *gamma, *beta;  // mean and inverse (images, groups)
  Index rows, c, groups;
  __device__ Index group(Index at) const { return at / (rows * c) * groups + at % c / (c / groups); }
  __device__ T centered(Index at) const { return x[at] - mean[group(at)]; }
  __device__ T operator()(Index at) const {
    return scalar::normalised(x[at], mean[group(at)], inverse[group(at)] * gamma[at % c], beta[at % c]);
  }
};

/// dy where it passes, else 0.
template <class T>
struct Gated {
  Gate gate;
  const T *dy, *y;
  Affine<T> z;
  __device__ T operator()(Index at) const {
    if (gate == Gate::open) return dy[at];
    return scalar::relu_gradient(gate == Gate::output ? y[at] : z(at), dy[at]);
  }
};

/// Terms of Σ g and Σ g·(x − μ) per image and channel.
template <class T>
struct GradientTerms {
  Gated<T> g;
  __device__ Values<T, 2> operator()(Index image, Index i, Index j) const {
    const Index at = (image * g.z.rows + i) * g.z.c + j;
    const T v = g(at);
    return {v, v * g.z.centered(at)};
  }
};

/// A finish of batch normalisation: y from the moments of a column.
template <class T>
struct NormaliseColumns {
  const T *x, *gamma, *beta;
  After<T> after;
  T* y;
  Index c;
  StoreMoments<T> moments;

  struct Column {
    T mean, slope, beta;
  };
  __device__ void store(Index j, const Values<T, 3>& values) const { moments(0, j, values); }
  __device__ Column column(Index j, const Values<T, 3>& values) const {
    const T inverse = scalar::inverse_deviation(values.v[2] / moments.rows, moments.epsilon);
    return {values.v[1], inverse * gamma[j], beta[j]};
  }
  __device__ void row(Index i, Index j, const Column& of) const {
    const Index at = i * c + j;
    y[at] = after(scalar::normalised(x[at], of.mean, of.slope, of.beta), at);
  }
};

/// A finish of its gradients, from Σ g and Σ g·(x − μ) of a column: GradientOffsets and GradientElement.
template <class T>
struct GradientColumns {
  Gated<T> g;
  T *dx, *residual, *dbeta, *dgamma;
  T weight;

  struct Column {
    T mean, slope, offset, factor;
  };
  __device__ void store(Index j, const Values<T, 2>& sums) const {
    dbeta[j] = sums.v[0];
    dgamma[j] = g.z.inverse[j] * sums.v[1];
  }
  __device__ Column column(Index j, const Values<T, 2>& sums) const {
    const T rho = g.z.inverse[j], gamma = g.z.gamma[j], normal = rho * sums.v[1];
    return {g.z.mean[j], rho * gamma, rho * (weight * (gamma * sums.v[0])),
            rho * rho * (weight * (gamma * normal))};
  }
  __device__ void row(Index i, Index j, const Column& of) const {
    const Index at = i * g.z.c + j;
    const T v = g(at);
    if (residual) residual[at] = v;
    dx[at] = scalar::normalised_gradient(v, g.z.x[at], of.mean, of.slope, of.offset, of.factor);
  }
};

}  // namespace detail

template <class T>
BatchNormalised<T, Cuda> batch_normalise(const Array<T>& x_any, const Array<T>& gamma, const Array<T>& beta,
                                         double epsilon, Array<T>& mean, Array<T>& variance, double momentum,
                                         const Epilogue<Array<T>>& after) {
  loru::detail::check_batch(x_any.shape());
  const Array<T> x = to_layout(x_any, Layout::channels_last),
                 r = to_layout(after.residual, Layout::channels_last);
  if (r) require_same_shape("normalise", x, r);
  const Shape channels{x.dim(1)};
  require<ShapeError>(gamma.shape() == channels && beta.shape() == channels &&
                          (!mean || (mean.shape() == channels && variance.shape() == channels)),
                      "batch_norm: expected ", channels, " channels of x, got ", gamma.shape(), " of γ");
  const Index c = channels[0], rows = x.size() / c;
  BatchNormalised<T, Cuda> result{Array<T>(x.shape(), Layout::channels_last),
                                  {Array<T>(channels), Array<T>(channels), Array<T>(channels)}};
  detail::StoreMoments<T> moments(result.moments, rows, epsilon);
  if (mean) {
    for (Array<T>* moved : {&mean, &variance})
      if (!moved->unique()) *moved = clone(*moved);
    moments.running = {mean.data(), variance.data(), static_cast<T>(1.0 - momentum), static_cast<T>(momentum),
                       static_cast<T>(momentum * unbiased_factor(rows))};
  }
  detail::finish_columns<T, 3>(
      "batch_normalise", rows, c, detail::ColumnMoments<T>{x.data(), rows, c},
      detail::NormaliseColumns<T>{
          x.data(), gamma.data(), beta.data(), {r.data(), after.relu}, result.y.data(), c, moments});
  return result;
}

}  // namespace loru::cuda
