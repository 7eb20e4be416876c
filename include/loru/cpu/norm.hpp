#pragma once
// Batch and group normalisation on host tensors, channels-last, alone or with what follows them in the same pass.
//
// Both compute x̂ = (x − μ)·ρ with ρ = 1 / √(σ² + ε) and y = γ·x̂ + β; they differ in what shares μ and σ²: a channel
// over the batch (Ioffe and Szegedy 2015), or a group of channels of one image (Wu and He 2018). A batch is treated as
// one image of N·H·W pixels whose groups are its channels.

#include <loru/cpu/moments.hpp>
#include <loru/cpu/rows.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

using detail::NormShape;

/// z = (x − μ)·scale + β of channel j, with scale = γ·ρ.
template <Scalar T>
struct Affine {
  const T *mu, *scale, *beta;
  T operator()(T x, Index j) const { return (x - mu[j]) * scale[j] + beta[j]; }
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

/// y = z, or max(z, 0), or max(z + residual, 0) if there is one.
template <Scalar T>
Tensor<T> normalise(const NormShape& s, const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                    const Tensor<T>& beta, const Tensor<T>& residual, bool relu) {
  Tensor<T> y(x.shape(), Layout::channels_last);
  const Index c = s.channels;
  T* out = y.data();
  parallel_for(s.images, [&, out](Index image) {
    const Tensor<T> values = channel_moments(s, moments, gamma, image);
    const Affine<T> z{values.data(), values.data() + 2 * c, beta.data()};
    const Index from = s.offset(image);
    const T *in = x.data() + from, *r = residual ? residual.data() + from : nullptr;
    if (r)
      map_rows(s.rows, c, in, out + from, [=](T v, Index at, Index j) {
        const T sum = z(v, j) + r[at];
        return sum > T(0) ? sum : T(0);
      });
    else if (relu)
      map_rows(s.rows, c, in, out + from, [=](T v, Index, Index j) {
        const T u = z(v, j);
        return u > T(0) ? u : T(0);
      });
    else
      map_rows(s.rows, c, in, out + from, [=](T v, Index, Index j) { return z(v, j); });
  });
  return y;
}

/// Where dy passes: everywhere; where y > 0, and dy is replaced by what passed; where z > 0, computed again from x.
enum class Gate : unsigned char { open, output, input };

/// Σ g and Σ g·(x − μ) per channel with g = dy where the gate lets it pass: sums (2, C). One pass.
template <Scalar T>
void gradient_sums(Gate gate, Index rows, Index c, T* dy, const T* y, const T* x, Affine<T> z, T* sums) {
  if (gate == Gate::input)
    return column_sums<2>(rows, c, sums, [=](Index i, Index j) {
      const T v = x[i * c + j], g = z(v, j) > T(0) ? dy[i * c + j] : T(0);
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
      const T v = x[at], g = z(v, j) > T(0) ? d : T(0);
      return z.scale[j] * g - (a[j] + b[j] * (v - z.mu[j]));
    });
  else  // an output gate has already left its mark on dy
    map_rows(rows, c, dy, dx,
             [=](T d, Index at, Index j) { return z.scale[j] * d - (a[j] + b[j] * (x[at] - z.mu[j])); });
}

/// The sums Σ g and Σ g·x̂ of an image as the a and b of gradient_rows: with means over each group,
/// a = ρ·mean(γ·g), b = ρ²·mean(γ·g·x̂); `weight` is 1 / the group's elements, or 0 for moments that are constants.
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

/// Two passes: the sums, then dx. Overwrites dy, by dx or by the gradient of the residual.
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

/// Either norm, in channels-last layout, with checks.
template <Scalar T>
Tensor<T> norm(const char* where, const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
               const Tensor<T>& beta, const Tensor<T>& residual, bool relu) {
  const NormShape s(where, x_any.shape(), gamma.shape(), moments.mean.shape());
  const Tensor<T> x = to_layout(x_any, Layout::channels_last), r = to_layout(residual, Layout::channels_last);
  if (r) require_same_shape(where, x, r);
  return normalise(s, x, moments, gamma, beta, r, relu);
}

template <Scalar T>
NormGradients<T> norm_gradients(const char* where, Gate gate, Tensor<T> dy, const Tensor<T>& y,
                                const Tensor<T>& x_any, const Moments<T>& moments, const Tensor<T>& gamma,
                                const Tensor<T>& beta, bool fixed) {
  const NormShape s(where, x_any.shape(), gamma.shape(), moments.mean.shape());
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  Tensor<T> d = own(std::move(dy), Layout::channels_last);
  require_same_shape(where, x, d);
  return norm_backward(s, gate, std::move(d), to_layout(y, Layout::channels_last), x, moments, gamma, beta,
                       fixed);
}

}  // namespace cpu

/// y = γ·(x − μ)·ρ + β with given moments per channel. Throws ShapeError.
template <Scalar T>
Tensor<T> batch_norm(const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                     const Tensor<T>& beta) {
  return cpu::norm("batch_norm", x, moments, gamma, beta, {}, false);
}

/// Backward pass of batch_norm whose moments came from x itself (training): with M = N·H·W,
/// dx = γ·ρ·(dy − Σdy / M − x̂·Σ(dy·x̂) / M), dγ = Σ dy·x̂, dβ = Σ dy. With `fixed` moments (evaluation) dx = γ·ρ·dy.
/// Uses dy's buffer for dx if nothing else shares it.
template <Scalar T>
NormGradients<T> batch_norm_backward(Tensor<T> dy, const Tensor<T>& x, const Moments<T>& moments,
                                     const Tensor<T>& gamma, bool fixed) {
  return cpu::norm_gradients("batch_norm_backward", cpu::Gate::open, std::move(dy), {}, x, moments,
                                gamma, {}, fixed);
}

/// y = max(batch_norm(x) + residual, 0) in one pass; the residual may be empty.
template <Scalar T>
Tensor<T> batch_norm_relu(const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                          const Tensor<T>& beta, const Tensor<T>& residual) {
  return cpu::norm("batch_norm_relu", x, moments, gamma, beta, residual, true);
}

/// Backward pass of batch_norm_relu: that of batch_norm for g = dy where y > 0, else 0, and g as the residual's
/// gradient. `y` is the result if there was a residual; without one it is empty, and its sign is taken from x anew.
/// Uses dy's buffer if nothing else shares it.
template <Scalar T>
NormGradients<T> batch_norm_relu_backward(Tensor<T> dy, const Tensor<T>& y, const Tensor<T>& x,
                                          const Moments<T>& moments, const Tensor<T>& gamma,
                                          const Tensor<T>& beta, bool fixed) {
  const auto gate = y ? cpu::Gate::output : cpu::Gate::input;
  return cpu::norm_gradients("batch_norm_relu_backward", gate, std::move(dy), y, x, moments, gamma, beta,
                                fixed);
}

/// y = γ·(x − μ)·ρ + β with moments per image and group. Throws ShapeError.
template <Scalar T>
Tensor<T> group_norm(const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                     const Tensor<T>& beta) {
  return cpu::norm("group_norm", x, moments, gamma, beta, {}, false);
}

/// Backward pass of group_norm: dx = ρ·(γ·dy − mean(γ·dy) − x̂·mean(γ·dy·x̂)) with means over the group.
/// Uses dy's buffer for dx if nothing else shares it.
template <Scalar T>
NormGradients<T> group_norm_backward(Tensor<T> dy, const Tensor<T>& x, const Moments<T>& moments,
                                     const Tensor<T>& gamma) {
  return cpu::norm_gradients("group_norm_backward", cpu::Gate::open, std::move(dy), {}, x, moments,
                                gamma, {}, false);
}

/// y = max(group_norm(x) + residual, 0) in one pass; the residual may be empty.
template <Scalar T>
Tensor<T> group_norm_relu(const Tensor<T>& x, const Moments<T>& moments, const Tensor<T>& gamma,
                          const Tensor<T>& beta, const Tensor<T>& residual) {
  return cpu::norm("group_norm_relu", x, moments, gamma, beta, residual, true);
}

/// Backward pass of group_norm_relu, as batch_norm_relu_backward.
template <Scalar T>
NormGradients<T> group_norm_relu_backward(Tensor<T> dy, const Tensor<T>& y, const Tensor<T>& x,
                                          const Moments<T>& moments, const Tensor<T>& gamma,
                                          const Tensor<T>& beta) {
  const auto gate = y ? cpu::Gate::output : cpu::Gate::input;
  return cpu::norm_gradients("group_norm_relu_backward", gate, std::move(dy), y, x, moments, gamma, beta,
                                false);
}

}  // namespace loru
