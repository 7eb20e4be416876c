#pragma once
// Smooth activations besides gelu: tanh, silu(gate) ⊙ up.

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/copy.cuh>

namespace loru::cuda {

namespace detail {

struct Tanh {
  template <class T>
  __device__ T operator()(T x) const {
    using std::tanh;
    return tanh(x);
  }
};

struct TanhBackward {
  template <class T>
  __device__ T operator()(T dy, T y) const {
    return dy * (T(1) - y * y);
  }
};

struct Swiglu {
  template <class T>
  __device__ T operator()(T gate, T up) const {
    return gate * scalar::logistic(gate) * up;
  }
};

/// dgate = dy · up · (σ + gate · σ · (1 − σ)) and dup = dy · gate · σ.
template <class T>
struct SwigluBackward {
  const T *gate, *up, *dy;
  T *dgate, *dup;
  __device__ void operator()(Index i) const {
    const T g = gate[i], sigma = scalar::logistic(g), d = dy[i];
    dgate[i] = d * up[i] * (sigma + g * sigma * (T(1) - sigma));
    dup[i] = d * (g * sigma);
  }
};

}  // namespace detail

template <class T>
Array<T> tanh(const Array<T>& x) {
  return detail::map("tanh", detail::Tanh{}, x);
}

template <class T>
Array<T> tanh_backward(const Array<T>& y, Array<T> dy) {
  require_same_shape("tanh_backward", dy, y);
  Array<T> dx = dy.unique() ? dy : Array<T>(dy.shape(), dy.layout());
  detail::map_into("tanh_backward", detail::TanhBackward{}, dx, dy, y);
  return dx;
}

template <class T>
Array<T> swiglu(const Array<T>& gate, const Array<T>& up) {
  return detail::map("swiglu", detail::Swiglu{}, gate, up);
}

template <class T>
SwigluGradients<T, Cuda> swiglu_backward(const Array<T>& gate, const Array<T>& up, const Array<T>& dy) {
  require_same_shape("swiglu_backward", gate, up);
  require_same_shape("swiglu_backward", gate, dy);
  SwigluGradients<T, Cuda> d{Array<T>(gate.shape(), gate.layout()), Array<T>(gate.shape(), gate.layout())};
  detail::for_each("swiglu_backward", dy.size(),
                   detail::SwigluBackward<T>{gate.data(), up.data(), dy.data(), d.gate.data(), d.up.data()});
  return d;
}

}  // namespace loru::cuda
