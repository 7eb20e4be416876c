#pragma once
// Smooth activations on host tensors: gelu, tanh, silu(gate) ⊙ up. Floats and silu run on SIMD packets.

#include <loru/core/compiled.hpp>
#include <loru/cpu/dual.hpp>
#include <loru/cpu/elementwise.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

/// y = gelu(x) and dx = dy · gelu'(x) for n floats.
template <std::same_as<float> T>
void gelu(Index n, const T* x, T* y);
template <std::same_as<float> T>
void gelu_backward(Index n, const T* x, const T* dy, T* dx);

/// y = silu(gate) · up for n elements.
template <std::floating_point T>
void swiglu(Index n, const T* gate, const T* up, T* y);

/// dgate = dy · up · silu'(gate) and dup = dy · silu(gate) for n elements.
template <std::floating_point T>
void swiglu_backward(Index n, const T* gate, const T* up, const T* dy, T* dgate, T* dup);

}  // namespace cpu

/// x · Φ(x) with the exact normal distribution function Φ(x) = (1 + erf(x / √2)) / 2; in float Φ is within
/// 3e-7.
template <Scalar T>
Tensor<T> gelu(const Tensor<T>& x) {
  if constexpr (std::same_as<T, float>) {
    Tensor<T> y(x.shape(), x.layout());
    const T* in = x.data();
    T* out = y.data();
    parallel_blocks(x.size(), Index{1} << 15,
                    [=](Index first, Index last) { cpu::gelu(last - first, in + first, out + first); });
    return y;
  } else {
    Tensor<T> y = cpu::map(x, [](T v) { return scalar::gelu(v); });
    if constexpr (std::same_as<T, Dual<float>>)
      return cpu::with_values(gelu(split(x).value), std::move(y));
    else
      return y;
  }
}

/// dx = dy · (Φ(x) + x · φ(x)) with the normal density φ.
template <Scalar T>
Tensor<T> gelu_backward(const Tensor<T>& x, const Tensor<T>& dy) {
  if constexpr (std::same_as<T, float>) {
    require_same_shape("gelu_backward", x, dy);
    Tensor<T> dx(x.shape(), x.layout());
    const T *in = x.data(), *g = dy.data();
    T* out = dx.data();
    parallel_blocks(x.size(), Index{1} << 15, [=](Index first, Index last) {
      cpu::gelu_backward(last - first, in + first, g + first, out + first);
    });
    return dx;
  } else {
    Tensor<T> dx = cpu::map("gelu_backward", x, dy, [](T v, T d) { return d * scalar::gelu_slope(v); });
    if constexpr (std::same_as<T, Dual<float>>)
      return cpu::with_values(gelu_backward(split(x).value, split(dy).value), std::move(dx));
    else
      return dx;
  }
}

/// tanh(x).
template <Scalar T>
Tensor<T> tanh(const Tensor<T>& x) {
  return cpu::map(x, [](T v) {
    using std::tanh;
    return tanh(v);
  });
}

/// dx = dy · (1 − y²) with y = tanh(x). Uses dy's buffer if nothing else shares it.
template <Scalar T>
Tensor<T> tanh_backward(const Tensor<T>& y, Tensor<T> dy) {
  return cpu::map("tanh_backward", std::move(dy), y, [](T d, T v) { return d * (T(1) - v * v); });
}

/// silu(gate) ⊙ up with silu(x) = x · σ(x), σ the logistic function. Source: Shazeer, arXiv 2002.05202.
template <std::floating_point T>
Tensor<T> swiglu(const Tensor<T>& gate, const Tensor<T>& up) {
  require_same_shape("swiglu", gate, up);
  Tensor<T> y(gate.shape(), gate.layout());
  const T *g = gate.data(), *u = up.data();
  T* out = y.data();
  parallel_blocks(y.size(), Index{1} << 15, [=](Index first, Index last) {
    cpu::swiglu(last - first, g + first, u + first, out + first);
  });
  return y;
}

/// dgate = dy ⊙ up ⊙ (σ + gate · σ · (1 − σ)) with σ of the gate, dup = dy ⊙ gate ⊙ σ.
template <std::floating_point T>
SwigluGradients<T> swiglu_backward(const Tensor<T>& gate, const Tensor<T>& up, const Tensor<T>& dy) {
  require_same_shape("swiglu_backward", gate, up);
  require_same_shape("swiglu_backward", gate, dy);
  SwigluGradients<T> d{Tensor<T>(gate.shape(), gate.layout()), Tensor<T>(gate.shape(), gate.layout())};
  const T *g = gate.data(), *u = up.data(), *in = dy.data();
  T *dg = d.gate.data(), *du = d.up.data();
  parallel_blocks(dy.size(), Index{1} << 15, [=](Index first, Index last) {
    cpu::swiglu_backward(last - first, g + first, u + first, in + first, dg + first, du + first);
  });
  return d;
}

/// The same on dual numbers, with the values of the real op.
template <std::floating_point T>
Tensor<Dual<T>> swiglu(const Tensor<Dual<T>>& gate, const Tensor<Dual<T>>& up) {
  auto y =
      cpu::map("swiglu", clone(gate), up, [](Dual<T> g, Dual<T> u) { return g * scalar::logistic(g) * u; });
  return cpu::with_values(swiglu(split(gate).value, split(up).value), std::move(y));
}

template <std::floating_point T>
SwigluGradients<Dual<T>> swiglu_backward(const Tensor<Dual<T>>& gate, const Tensor<Dual<T>>& up,
                                         const Tensor<Dual<T>>& dy) {
  using S = Dual<T>;
  const auto real = swiglu_backward(split(gate).value, split(up).value, split(dy).value);
  const auto slope = cpu::map(gate, [](S g) {
    const S s = scalar::logistic(g);
    return s + g * s * (S(1) - s);
  });
  const auto silu = cpu::map(gate, [](S g) { return g * scalar::logistic(g); });
  return {cpu::with_values(real.gate, multiply(multiply(dy, up), slope)),
          cpu::with_values(real.up, multiply(dy, silu))};
}

}  // namespace loru::inline LORU_ISA

#ifndef LORU_COMPILED
#include <loru/cpu/activation_bodies.hpp>
#endif
