#pragma once
// Initial values of parameters, drawn on the host in row-major order of the logical shape, whatever layout
// and device.

#include <cmath>

#include <loru/nn/module.hpp>

namespace loru::inline LORU_ISA::nn {

/// The variance rule of initial weights.
enum class Init : unsigned char {
  kaiming,  ///< uniform within ±√(6 / ((1 + a²)·fan_in)) with a = √5, that is ±1 / √fan_in (He et al. 2015)
  xavier,   ///< uniform within ±√(6 / (fan_in + fan_out)) (Glorot and Bengio 2010)
  zero,  ///< weights and biases are zero: for a model without hidden layers, whose gradient is not zero there
  none,  ///< not drawn: weights have a shape and no elements until values from elsewhere are set
};

/// Connections into and out of one unit of a weight (m, n) or (Cout, Cin, kh, kw).
struct Fan {
  double in, out;
  explicit Fan(const Shape& w) {
    const Index window = w.rank() == 4 ? w[2] * w[3] : 1;
    in = static_cast<double>(w[1] * window);
    out = static_cast<double>(w[0] * window);
  }
};

/// Uniform values within ±bound, on the host.
template <class T>
Tensor<T> uniform(const Shape& shape, double bound, rng::Stream stream) {
  Tensor<T> t(shape);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = T(static_cast<Real<T>>(stream.uniform(-bound, bound)));
  return t;
}

/// Normal values with mean zero.
template <class T, class D = Cpu>
Tensor<T, D> normal(const Shape& shape, double deviation, rng::Stream stream) {
  Tensor<T> t(shape);
  for (Index i = 0; i < t.size(); ++i) t.data()[i] = T(static_cast<Real<T>>(deviation * stream.normal()));
  return to_device<D>(t);
}

/// Bound of the weights' uniform distribution.
inline double weight_bound(Init init, const Fan& fan) {
  if (init == Init::zero) return 0.0;
  return init == Init::kaiming ? 1.0 / std::sqrt(fan.in) : std::sqrt(6.0 / (fan.in + fan.out));
}

/// Initial weight of the given shape, without elements for Init::none; convolution weights (rank 4) come out
/// channels-last.
template <class T, class D = Cpu>
Tensor<T, D> initial_weight(const Shape& shape, Init init, const rng::Stream& stream) {
  if (init == Init::none) return Tensor<T, D>::without_elements(shape);
  const double bound = weight_bound(init, Fan(shape));
  return to_device<D>(to_layout(uniform<T>(shape, bound, stream), Layout::channels_last));
}

/// Initial bias of a layer whose weight has the given shape: uniform within ±1 / √fan_in, or zero.
template <class T, class D = Cpu>
Tensor<T, D> initial_bias(const Shape& weight, const rng::Stream& stream, Init init = Init::kaiming) {
  const double bound = init == Init::zero ? 0.0 : 1.0 / std::sqrt(Fan(weight).in);
  return to_device<D>(uniform<T>({weight[0]}, bound, stream));
}

/// The same value everywhere.
template <class T, class D = Cpu>
Tensor<T, D> constant(const Shape& shape, double value) {
  Tensor<T, D> t(shape);
  fill(t, T(static_cast<Real<T>>(value)));
  return t;
}

}  // namespace loru::inline LORU_ISA::nn
