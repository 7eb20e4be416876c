#pragma once
// Batch normalisation with the batch's own moments, channels-last: a pass over the rows that folds what their
// columns need, and one that folds the pieces and goes over the rows again.

#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/ops/epilogue.cuh>
#include <loru/cuda/ops/moments.cuh>

namespace loru::cuda {

namespace detail {

using loru::detail::NormShape;

/// Whose moments and which γ and β an element has.
struct NormPlace {
  Index group, channel;
};

/// The normalisation at element `at` of x, channel j: z = (x − μ)·ρ·γ + β.
template <class T>
struct Affine {
  const T *x, *mean, *inverse, *gamma, *beta;  // mean and inverse (images, groups)
  Index rows, c, groups;
  LongDivisor of_image, of_channels, of_group;  // elements of an image, C, channels of a group

  Affine(const T* x, const T* mean, const T* inverse, const T* gamma, const T* beta, const NormShape& s)
      : x{x},
        mean{mean},
        inverse{inverse},
        gamma{gamma},
        beta{beta},
        rows{s.rows},
        c{s.channels},
        groups{s.groups},
        of_image{s.rows * s.channels},
        of_channels{s.channels},
        of_group{s.channels / std::max<Index>(1, s.groups)} {}

  __device__ NormPlace place(Index image, Index j) const {
    return {image * groups + of_group.quotient(j), j};
  }
  __device__ NormPlace place(Index at) const {
    return place(of_image.quotient(at), of_channels.remainder(at));
  }
  __device__ T centered(Index at, NormPlace p) const { return x[at] - mean[p.group]; }
  __device__ T operator()(Index at, NormPlace p) const {
    return scalar::normalised(x[at], mean[p.group], inverse[p.group] * gamma[p.channel], beta[p.channel]);
  }
};

/// dy where it passes, else 0.
template <class T>
struct Gated {
  Gate gate;
  const T *dy, *y;
  Affine<T> z;
  __device__ T operator()(Index at, NormPlace p) const {
    if (gate == Gate::open) return dy[at];
    return scalar::relu_gradient(gate == Gate::output ? y[at] : z(at, p), dy[at]);
  }
};

/// Terms of Σ g and Σ g·(x − μ) per image and channel.
template <class T>
struct GradientTerms {
  Gated<T> g;
  __device__ Values<T, 2> operator()(Index image, Index i, Index j) const {
    const Index at = (image * g.z.rows + i) * g.z.c + j;
    const NormPlace p = g.z.place(image, j);
    const T v = g(at, p);
    return {v, v * g.z.centered(at, p)};
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
    const T v = g(at, {j, j});
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
  constexpr bool in_place = false;
  detail::finish_columns<T, 3>(
      "batch_normalise", rows, c, detail::ColumnMoments<T>{x.data(), rows, c},
      detail::NormaliseColumns<T>{
          x.data(), gamma.data(), beta.data(), {r.data(), after.relu}, result.y.data(), c, moments},
      in_place);
  return result;
}

}  // namespace loru::cuda
