#pragma once
// Formulas of single elements, for the loops of the host, for device code and, where they are smooth, for
// dual numbers.

#include <cmath>
#include <cstddef>
#include <cstdint>

#include <loru/core/dual.hpp>
#include <loru/core/host_device.hpp>

namespace loru::inline LORU_ISA::scalar {

// ---- activations ----

/// max(x, 0).
template <class T>
LORU_HOST_DEVICE constexpr T relu(T x) {
  return x > T(0) ? x : T(0);
}

/// The gradient of y = relu(x): g where y > 0, else 0. x may be given in place of y.
template <class T>
LORU_HOST_DEVICE constexpr T relu_gradient(T y, T g) {
  return y > T(0) ? g : T(0);
}

/// x · Φ(x) with the exact normal distribution function Φ(x) = (1 + erf(x / √2)) / 2.
template <class T>
LORU_HOST_DEVICE T gelu(T x) {
  using std::erf;
  constexpr Real<T> root_half = Real<T>(0.707106781186547524400844362104849039);
  return T(Real<T>(0.5)) * x * (T(1) + erf(x * T(root_half)));
}

/// Its derivative Φ(x) + x · φ(x) with the normal density φ.
template <class T>
LORU_HOST_DEVICE T gelu_slope(T x) {
  using std::erf;
  using std::exp;
  constexpr Real<T> root_half = Real<T>(0.707106781186547524400844362104849039);
  constexpr Real<T> density = Real<T>(0.398942280401432677939946059934381868);  // 1 / √(2π)
  const T phi = T(density) * exp(T(Real<T>(-0.5)) * x * x);
  return T(Real<T>(0.5)) * (T(1) + erf(x * T(root_half))) + x * phi;
}

/// The factor of dropout for an element: `keep` = 1 / (1 − p) where its random word is at least p · 2³², else
/// 0.
template <class T>
LORU_HOST_DEVICE constexpr T dropout_factor(std::uint32_t word, std::uint64_t threshold, T keep) {
  return word >= threshold ? keep : T(0);
}

// ---- normalisation ----

/// 1 / √(σ² + ε).
template <class T>
LORU_HOST_DEVICE T inverse_deviation(T variance, T epsilon) {
  using std::sqrt;
  return T(1) / sqrt(variance + epsilon);
}

/// z = (x − μ)·scale + β with scale = γ·ρ.
template <class T>
LORU_HOST_DEVICE constexpr T normalised(T x, T mu, T scale, T beta) {
  return (x - mu) * scale + beta;
}

/// dx = scale·g − (a + b·(x − μ)). a and b are the part of the gradient that comes through the moments.
template <class T>
LORU_HOST_DEVICE constexpr T normalised_gradient(T g, T x, T mu, T scale, T a, T b) {
  return scale * g - (a + b * (x - mu));
}

/// Joins mean and M2 = Σ(x − mean)² of a part to those of the numbers before it (Chan, Golub and LeVeque
/// 1983): share = n_part / (n + n_part), weight = n · share.
template <class T>
LORU_HOST_DEVICE constexpr void join_moments(T& mean, T& m2, T mean_part, T m2_part, T share, T weight) {
  const T d = mean_part - mean;
  mean += d * share;
  m2 += m2_part + d * d * weight;
}

// ---- losses ----

/// The place of the largest of n > 0 numbers, the first of equals.
template <class T>
LORU_HOST_DEVICE constexpr std::ptrdiff_t first_largest(const T* x, std::ptrdiff_t n) {
  std::ptrdiff_t best = 0;
  for (std::ptrdiff_t j = 1; j < n; ++j)
    if (x[j] > x[best]) best = j;
  return best;
}

/// dz of −log softmax(z)[label] at a class of probability p, times a factor.
template <class T>
LORU_HOST_DEVICE constexpr T cross_entropy_gradient(T p, bool is_label, T factor) {
  return (is_label ? p - T(1) : p) * factor;
}

/// The logistic function σ(x) = 1 / (1 + e^−x).
template <class T>
LORU_HOST_DEVICE T logistic(T x) {
  using std::exp;
  const T e = exp(x > T(0) ? -x : x);  // at most 1
  return (x > T(0) ? T(1) : e) / (T(1) + e);
}

/// −t·log σ(z) − (1 − t)·log(1 − σ(z)) = max(z, 0) − z·t + log(1 + e^−|z|).
template <class T>
LORU_HOST_DEVICE T binary_cross_entropy(T z, T t) {
  using std::exp;
  using std::log1p;
  return relu(z) - z * t + log1p(exp(z > T(0) ? -z : z));
}

// ---- data ----

/// (raw · unit − mean) · inverse, each operation rounded by itself on every device.
LORU_HOST_DEVICE inline double standardised(double raw, double unit, double mean, double inverse) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(__dsub_rn(__dmul_rn(raw, unit), mean), inverse);
#else
  return (raw * unit - mean) * inverse;
#endif
}

}  // namespace loru::inline LORU_ISA::scalar
