#pragma once
// Batch and group normalisation on host tensors, channels-last.
//
// Both compute x̂ = (x − μ)·ρ with ρ = 1 / √(σ² + ε) and y = γ·x̂ + β. They differ in the values that share μ
// and σ²: a channel over the batch (Ioffe and Szegedy 2015), or a group of channels of one image (Wu and He
// 2018). A batch is treated as one image of N·H·W pixels whose groups are its channels.

#include <loru/cpu/epilogue.hpp>
#include <loru/cpu/moments.hpp>
#include <loru/cpu/rows.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

using detail::NormShape;

/// z = (x − μ)·scale + β of channel j, with scale = γ·ρ.
template <Scalar T>
struct Affine {
  const T *mu, *scale, *beta;
  T operator()(T x, Index j) const { return scalar::normalised(x, mu[j], scale[j], beta[j]); }
};

/// μ, ρ and γ·ρ of an image, channel by channel: shape (3, C).
template <Scalar T>
Tensor<T> channel_moments(const NormShape& s, const Moments<T>& moments, const Tensor<T>& gamma,
                          Index image) {
  const Index c = s.channels, width = c / s.groups;
  const T *mean = moments.mean.data() + image * s.groups,
          *inverse = moments.inverse_deviation.data() + image * s.groups;
  Tensor<T> values(Shape{3, c});
  T *mu = values.data(), *rho = mu + c, *scale = rho + c;
  for (Index j = 0; j < c; ++j) {
    mu[j] = mean[j / width];
    rho[j] = inverse[j / width];
    scale[j] = rho[j] * gamma.data()[j];
  }
  return values;
}

/// Σ g and Σ g·(x − μ) per channel with g = dy where the gate lets it pass: sums (2, C). One pass.
template <Scalar T>
void gradient_sums(Gate gate, Index rows, Index c, T* dy, const T* y, const T* x, Affine<T> z, T* sums) {
  if (gate == Gate::input)
    return column_sums<2>(rows, c, sums, [=](Index i, Index j) {
      const T v = x[i * c + j], g = scalar::relu_gradient(z(v, j), dy[i * c + j]);
      return std::array<T, 2>{g, g * (v - z.mu[j])};
    });
  const auto term = [=](Index i, Index j) {
    const T g = dy[i * c + j];
    return std::array<T, 2>{g, g * (x[i * c + j] - z.mu[j])};
  };
  if (gate == Gate::open) return column_sums<2>(rows, c, sums, term);
  column_sums<2>(rows, c, sums, term,
                 [=](Index first, Index last) { mask((last - first) * c, y + first * c, dy + first * c); });
}

/// dx = scale·g − a − b·(x − μ), with a and b per channel: one pass. dx may be dy.
template <Scalar T>
void gradient_rows(Gate gate, Index rows, Index c, const T* dy, const T* x, Affine<T> z, const T* a,
                   const T* b, T* dx) {
  if (gate == Gate::input)
    map_rows(rows, c, dy, dx, [=](T d, Index at, Index j) {
      const T v = x[at], g = scalar::relu_gradient(z(v, j), d);
      return scalar::normalised_gradient(g, v, z.mu[j], z.scale[j], a[j], b[j]);
    });
  else  // an output gate has masked dy already
    map_rows(rows, c, dy, dx, [=](T d, Index at, Index j) {
      return scalar::normalised_gradient(d, x[at], z.mu[j], z.scale[j], a[j], b[j]);
    });
}

/// The sums Σ g and Σ g·x̂ of an image as the a and b of gradient_rows: with means over each group,
/// a = ρ·mean(γ·g), b = ρ²·mean(γ·g·x̂); `weight` is 1 / the group's elements, or 0 for moments that are
/// constants.
template <Scalar T>
void gradient_offsets(const NormShape& s, const T* sums, const T* rho, const T* gamma, T weight, T* a, T* b) {
  const Index width = s.channels / s.groups;
  for (Index first = 0; first < s.channels; first += width) {
    T mean = T(0), mean_normal = T(0);
    for (Index j = first; j < first + width; ++j) {
      mean += gamma[j] * sums[j];
      mean_normal += gamma[j] * sums[s.channels + j];
    }
    for (Index j = first; j < first + width; ++j) {
      a[j] = rho[j] * (weight * mean);
      b[j] = rho[j] * rho[j] * (weight * mean_normal);
    }
  }
}

/// Two passes: the sums, then dx. Overwrites dy with dx or with the gradient of the residual.
template <Scalar T>
NormGradients<T> norm_backward(const NormShape& s, Gate gate, Tensor<T> dy, const Tensor<T>& y,
                               const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                               const Tensor<T>& beta, bool fixed) {
  const Index c = s.channels;
  const bool masked = gate == Gate::output;
  Tensor<T> dx = masked ? Tensor<T>(x.shape(), Layout::channels_last) : dy, sums(Shape{s.images, 2 * c});
  T *d = dy.data(), *out = dx.data(), *totals = sums.data();
  const T weight = fixed ? T(0) : ratio<T>(1, s.rows * (c / s.groups));
  parallel_for(s.images, [&, d, out, totals](Index image) {
    const Tensor<T> values = channel_moments(s, moments, gamma, image);
    Tensor<T> offsets(Shape{2, c});
    const Index from = s.offset(image);
    const T *rho = values.data() + c, *in = x.data() + from;
    T *a = offsets.data(), *b = a + c, *total = totals + image * 2 * c;
    const Affine<T> z{values.data(), rho + c, beta.data()};
    gradient_sums(gate, s.rows, c, d + from, masked ? y.data() + from : nullptr, in, z, total);
    for (Index j = 0; j < c; ++j) total[c + j] *= rho[j];
    gradient_offsets(s, total, rho, gamma.data(), weight, a, b);
    gradient_rows(gate, s.rows, c, d + from, in, z, a, b, out + from);
  });
  NormGradients<T> grads{std::move(dx), Tensor<T>(Shape{c}), Tensor<T>(Shape{c}), {}};
  if (masked) grads.residual = std::move(dy);
  const auto sum_images = [=](const T* of_image, T* total) {
    column_sums<1>(s.images, c, total,
                   [=](Index i, Index j) { return std::array<T, 1>{of_image[i * 2 * c + j]}; });
  };
  sum_images(totals, grads.dbeta.data());
  sum_images(totals + c, grads.dgamma.data());
  return grads;
}

}  // namespace cpu

/// z = γ·(x − μ)·ρ + β and the epilogue of z, in one pass. x (N, C, H, W), moments per channel (C) or per
/// image and group (N, G). Throws ShapeError.
template <Scalar T>
Tensor<T> normalise(const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
                    const Tensor<T>& beta, const Epilogue<Tensor<T>>& after) {
  const cpu::NormShape s("normalise", x_any.shape(), gamma.shape(), moments.mean.shape());
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Epilogue<Tensor<T>> last{after.relu, to_layout(after.residual, Layout::channels_last)};
  if (last.residual) require_same_shape("normalise", x, last.residual);
  Tensor<T> y(x.shape(), Layout::channels_last);
  const Index c = s.channels;
  T* out = y.data();
  parallel_for(s.images, [&, out](Index image) {
    const Tensor<T> values = cpu::channel_moments(s, moments, gamma, image);
    const cpu::Affine<T> z{values.data(), values.data() + 2 * c, beta.data()};
    const Index from = s.offset(image);
    cpu::map_through(last, s.rows, c, x.data() + from, out + from, z, from);
  });
  return y;
}

/// Backward pass of normalise. With g = dy where the gate lets it pass, else 0, and means over what shares
/// the moments: dx = ρ·(γ·g − mean(γ·g) − x̂·mean(γ·g·x̂)), dγ = Σ g·x̂, dβ = Σ g. Where the moments are
/// constants (`fixed`, evaluation) dx = ρ·γ·g. y is the result behind Gate::output, which gives g as the
/// residual's gradient, and empty otherwise. Uses dy's buffer if nothing else shares it. Throws ShapeError.
template <Scalar T>
NormGradients<T> normalise_backward(Tensor<T> dy, const Tensor<T>& y, const Tensor<T>& x_any,
                                    const Moments<T>& moments, const Tensor<T>& gamma, const Tensor<T>& beta,
                                    Gate gate, bool fixed) {
  const cpu::NormShape s("normalise_backward", x_any.shape(), gamma.shape(), moments.mean.shape());
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  Tensor<T> d = cpu::own(std::move(dy), Layout::channels_last);
  require_same_shape("normalise_backward", x, d);
  return cpu::norm_backward(s, gate, std::move(d), to_layout(y, Layout::channels_last), x, moments, gamma,
                            beta, fixed);
}

}  // namespace loru::inline LORU_ISA
