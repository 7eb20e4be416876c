#pragma once
// Losses of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

namespace detail {

template <class T, class D>
Variable<T, D> cross_entropy_of(const LossValue<T, D>& y, const Variable<T, D>& z,
                                const Tensor<std::int32_t, D>& labels) {
  return {"cross_entropy", y.loss, {z}, [z, labels, kept = y.kept](const Tensor<T, D>& dy) {
            z.accumulate(cross_entropy_backward(dy, kept, labels));
          }};
}

}  // namespace detail

/// Mean over rows of −log softmax(z)[label]: z (M, classes), labels (M).
template <class T, class D>
Variable<T, D> cross_entropy(const Variable<T, D>& z, const Tensor<std::int32_t, D>& labels) {
  return detail::cross_entropy_of(cross_entropy(z.value(), labels), z, labels);
}

/// The same for labels that are known to lie in [0, known), which a device then need not look at again;
/// nothing is known of them with 0.
template <class T, class D>
Variable<T, D> cross_entropy(const Variable<T, D>& z, const Tensor<std::int32_t, D>& labels,
                             [[maybe_unused]] Index known) {
  if constexpr (requires { known_cross_entropy(z.value(), labels); })
    if (known > 0 && z.shape().rank() == 2 && known <= z.shape()[1])
      return detail::cross_entropy_of(known_cross_entropy(z.value(), labels), z, labels);
  return cross_entropy(z, labels);
}

/// Mean over elements of (y − target)².
template <class T, class D>
Variable<T, D> mean_squared_error(const Variable<T, D>& y, const Tensor<T, D>& target) {
  const LossValue<T, D> loss = mean_squared_error(y.value(), target);
  return {"mean_squared_error", loss.loss, {y}, [y, kept = loss.kept](const Tensor<T, D>& dy) {
            y.accumulate(mean_squared_error_backward(dy, kept));
          }};
}

/// Mean over elements of −t·log σ(z) − (1 − t)·log(1 − σ(z)): z logits, t targets in [0, 1], σ the logistic
/// function.
template <class T, class D>
Variable<T, D> binary_cross_entropy(const Variable<T, D>& z, const Tensor<T, D>& target) {
  const LossValue<T, D> loss = binary_cross_entropy(z.value(), target);
  return {"binary_cross_entropy", loss.loss, {z}, [z, kept = loss.kept](const Tensor<T, D>& dy) {
            z.accumulate(binary_cross_entropy_backward(dy, kept));
          }};
}

/// The parts of this header that loru::compiled instantiates.
#define LORU_COMPILED_LOSS(TEMPLATE, T) \
  TEMPLATE Variable<T> cross_entropy<T, Cpu>(const Variable<T>&, const Tensor<std::int32_t>&);
#ifdef LORU_COMPILED
LORU_COMPILED_LOSS(extern template, float)
LORU_COMPILED_LOSS(extern template, double)
#endif

}  // namespace loru::inline LORU_ISA
