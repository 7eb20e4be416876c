#pragma once
// Batch and group normalisation, channels-last: the formulas and the passes of include/loru/cpu/norm.hpp.

#include <loru/cuda/ops/batch_norm.cuh>

namespace loru::cuda {

namespace detail {

/// y = the epilogue of z.
template <class T>
struct Normalise {
  Affine<T> z;
  After<T> after;
  T* y;
  __device__ void operator()(Index i) const { y[i] = after(z(i, z.place(i)), i); }
};

/// For group i % G of image i / G: Σ g·(x − μ) becomes Σ g·x̂; a = ρ·mean(γ·g), b = ρ²·mean(γ·g·x̂) with
/// means over the group. `weight` is 1 / the group's elements, or 0 for moments that are constants.
template <class T>
struct GradientOffsets {
  T* sums;     // (images, 2, C)
  T* offsets;  // (images, G, 2)
  const T *inverse, *gamma;
  Index c, width;  // channels, of a group
  LongDivisor groups;
  T weight;
  __device__ void operator()(Index i) const {
    const Index image = groups.quotient(i), first = groups.remainder(i, image) * width;
    T* of_image = sums + image * 2 * c;
    const T rho = inverse[i];
    T mean = T(0), mean_normal = T(0);
    for (Index j = first; j < first + width; ++j) {
      of_image[c + j] *= rho;
      mean += gamma[j] * of_image[j];
      mean_normal += gamma[j] * of_image[c + j];
    }
    offsets[2 * i] = rho * (weight * mean);
    offsets[2 * i + 1] = rho * rho * (weight * mean_normal);
  }
};

/// dx = γ·ρ·g − a − b·(x − μ); g is kept as the residual's gradient if that is asked for. dx may be dy.
template <class T>
struct GradientElement {
  Gated<T> g;
  const T* offsets;
  T *dx, *residual;
  __device__ void operator()(Index i) const {
    const NormPlace p = g.z.place(i);
    const T v = g(i, p);
    if (residual) residual[i] = v;
    dx[i] = scalar::normalised_gradient(v, g.z.x[i], g.z.mean[p.group],
                                        g.z.inverse[p.group] * g.z.gamma[p.channel], offsets[2 * p.group],
                                        offsets[2 * p.group + 1]);
  }
};

/// Sums over images (2, C) to β's and γ's gradients.
template <class T>
struct Halves {
  const T* both;
  T *first, *second;
  Index c;
  __device__ void operator()(Index j) const {
    first[j] = both[j];
    second[j] = both[c + j];
  }
};

template <class T>
Affine<T> affine(const NormShape& s, const Array<T>& x, const Moments<T, Cuda>& m, const Array<T>& gamma,
                 const Array<T>& beta) {
  return {x.data(), m.mean.data(), m.inverse_deviation.data(), gamma.data(), beta.data(), s};
}

}  // namespace detail

template <class T>
Array<T> normalise(const Array<T>& x_any, const Moments<T, Cuda>& m, const Array<T>& gamma,
                   const Array<T>& beta, const Epilogue<Array<T>>& after) {
  const detail::NormShape s("normalise", x_any.shape(), gamma.shape(), m.mean.shape());
  const Array<T> x = to_layout(x_any, Layout::channels_last),
                 r = to_layout(after.residual, Layout::channels_last);
  if (r) require_same_shape("normalise", x, r);
  Array<T> y(x.shape(), Layout::channels_last);
  detail::for_each(
      "normalise", y.size(),
      detail::Normalise<T>{detail::affine(s, x, m, gamma, beta), {r.data(), after.relu}, y.data()});
  return y;
}

/// Two passes: the sums, then dx, which overwrites dy if nothing else shares it. Batch normalisation takes a
/// launch or two.
template <class T>
NormGradients<T, Cuda> normalise_backward(Array<T> dy_any, const Array<T>& y_any, const Array<T>& x_any,
                                          const Moments<T, Cuda>& m, const Array<T>& gamma,
                                          const Array<T>& beta, Gate gate, bool fixed) {
  constexpr auto where = "normalise_backward";
  const detail::NormShape s(where, x_any.shape(), gamma.shape(), m.mean.shape());
  const Array<T> x = to_layout(x_any, Layout::channels_last), y = to_layout(y_any, Layout::channels_last);
  Array<T> dx = detail::own(std::move(dy_any), Layout::channels_last);
  require_same_shape(where, x, dx);
  const Index c = s.channels;
  const detail::Gated<T> g{gate, std::as_const(dx).data(), y.data(), detail::affine(s, x, m, gamma, beta)};
  NormGradients<T, Cuda> grads{dx, Array<T>(Shape{c}), Array<T>(Shape{c}), {}};
  if (gate == Gate::output) grads.residual = Array<T>(x.shape(), Layout::channels_last);
  const T weight = fixed ? T(0) : T(1) / static_cast<T>(s.rows * (c / s.groups));
  if (s.images == 1 && s.groups == c) {
    using Policy = detail::Sums<T, 2, detail::GradientTerms<T>>;
    constexpr bool in_place = true;  // dx is dy
    detail::finish_columns<T, 2>(where, s.rows, c, Policy{{g}},
                                 detail::GradientColumns<T>{g, dx.data(), grads.residual.data(),
                                                            grads.dbeta.data(), grads.dgamma.data(), weight},
                                 in_place);
    return grads;
  }
  auto sums = detail::column_sums<T, 2>(where, s.images, s.rows, c, detail::GradientTerms<T>{g});
  Array<T> offsets(Shape{s.images, s.groups, 2});
  detail::for_each(where, s.images * s.groups,
                   detail::GradientOffsets<T>{sums.data(), offsets.data(), g.z.inverse, gamma.data(), c,
                                              c / s.groups, LongDivisor(s.groups), weight});
  detail::for_each(where, x.size(),
                   detail::GradientElement<T>{g, offsets.data(), dx.data(), grads.residual.data()});
  const auto both = s.images == 1 ? sums
                                  : detail::column_sums<T, 1>(where, 1, s.images, 2 * c,
                                                              detail::Terms<T>{sums.data(), 2 * c});
  detail::for_each(where, c, detail::Halves<T>{both.data(), grads.dbeta.data(), grads.dgamma.data(), c});
  return grads;
}

}  // namespace loru::cuda
