#pragma once
// Interleaved dual tensors taken apart and put together, so that products run on real kernels.

#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA {

/// Value and tangent parts of a dual tensor.
template <std::floating_point T>
struct Parts {
  Tensor<T> value, tangent;
};

template <std::floating_point T>
Parts<T> split(const Tensor<Dual<T>>& x) {
  Parts<T> parts{Tensor<T>(x.shape(), x.layout()), Tensor<T>(x.shape(), x.layout())};
  T *v = parts.value.data(), *t = parts.tangent.data();
  for (Index i = 0, n = x.size(); i < n; ++i) {
    v[i] = x.data()[i].value;
    t[i] = x.data()[i].tangent;
  }
  return parts;
}

template <std::floating_point T>
Tensor<Dual<T>> join(const Tensor<T>& value, const Tensor<T>& tangent) {
  require_same_shape("join", value, tangent);
  Tensor<Dual<T>> x(value.shape(), value.layout());
  for (Index i = 0, n = x.size(); i < n; ++i) x.data()[i] = {value.data()[i], tangent.data()[i]};
  return x;
}

namespace cpu {

/// f(a, b) for a bilinear f on real tensors: value f(a, b), tangent f(a, b') + f(a', b).
template <std::floating_point T, class F>
Tensor<Dual<T>> bilinear(const Tensor<Dual<T>>& a, const Tensor<Dual<T>>& b, F f) {
  const Parts<T> x = split(a), y = split(b);
  const Tensor<T> value = f(x.value, y.value);
  Tensor<T> tangent = f(x.value, y.tangent);
  const Tensor<T> second = f(x.tangent, y.value);
  for (Index i = 0, n = tangent.size(); i < n; ++i) tangent.data()[i] += second.data()[i];
  return join(value, tangent);
}

/// The dual tensor of these values and the tangents of x.
template <std::floating_point T>
Tensor<Dual<T>> with_values(const Tensor<T>& values, Tensor<Dual<T>> x) {
  for (Index i = 0; i < x.size(); ++i) x.data()[i].value = values.data()[i];
  return x;
}

}  // namespace cpu
}  // namespace loru::inline LORU_ISA
