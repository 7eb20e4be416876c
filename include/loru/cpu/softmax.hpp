#pragma once
// Losses of classification and regression on host tensors.

#include <cmath>

#include <loru/core/scalar.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

inline void check_labels(const char* where, const Shape& z, const Tensor<std::int32_t>& labels) {
  detail::check_logits(where, z, labels);
  for (Index i = 0; i < z[0]; ++i)
    if (labels.data()[i] < 0 || labels.data()[i] >= z[1])
      detail::fail_label(where, labels.data()[i], i, z[1]);
}

}  // namespace cpu

/// Mean over rows of −log softmax(z)[label]: z (M, classes), labels (M). Throws ShapeError.
template <Scalar T>
LossValue<T> cross_entropy(const Tensor<T>& z, const Tensor<std::int32_t>& labels) {
  using std::exp;
  using std::log;
  cpu::check_labels("cross_entropy", z.shape(), labels);
  const Index m = z.dim(0), n = z.dim(1);
  LossValue<T> result{Tensor<T>(Shape{}), Tensor<T>(z.shape())};
  T total = T(0);
  for (Index i = 0; i < m; ++i) {
    const T* row = z.data() + i * n;
    T* p = result.kept.data() + i * n;
    T largest = row[0];
    for (Index j = 1; j < n; ++j)
      if (row[j] > largest) largest = row[j];
    T sum = T(0);
    for (Index j = 0; j < n; ++j) sum += p[j] = exp(row[j] - largest);
    for (Index j = 0; j < n; ++j) p[j] /= sum;
    total += log(sum) - (row[labels.data()[i]] - largest);
  }
  result.loss.data()[0] = total / T(static_cast<Real<T>>(m));
  return result;
}

/// dz = (softmax(z) − onehot(label)) · dloss / M from the kept probabilities.
template <Scalar T>
Tensor<T> cross_entropy_backward(const Tensor<T>& dloss, const Tensor<T>& probabilities,
                                 const Tensor<std::int32_t>& labels) {
  const Index m = probabilities.dim(0), n = probabilities.dim(1);
  const T factor = dloss.data()[0] / T(static_cast<Real<T>>(m));
  Tensor<T> dz(probabilities.shape());
  for (Index i = 0; i < m; ++i) {
    const T* p = probabilities.data() + i * n;
    T* d = dz.data() + i * n;
    for (Index j = 0; j < n; ++j) d[j] = scalar::cross_entropy_gradient(p[j], j == labels.data()[i], factor);
  }
  return dz;
}

/// Number of rows of z (M, classes) whose largest entry (the first of equals) is the label's.
template <Scalar T>
Index count_correct(const Tensor<T>& z, const Tensor<std::int32_t>& labels) {
  cpu::check_labels("count_correct", z.shape(), labels);
  const Index n = z.dim(1);
  Index correct = 0;
  for (Index i = 0; i < z.dim(0); ++i)
    correct += scalar::first_largest(z.data() + i * n, n) == labels.data()[i];
  return correct;
}

/// Mean over all elements of (y − t)².
template <Scalar T>
LossValue<T> mean_squared_error(const Tensor<T>& y, const Tensor<T>& target) {
  require_same_shape("mean_squared_error", y, target);
  detail::check_any("mean_squared_error", y.size());
  LossValue<T> result{Tensor<T>(Shape{}), Tensor<T>(y.shape(), y.layout())};
  T total = T(0);
  for (Index i = 0; i < y.size(); ++i) {
    const T d = result.kept.data()[i] = y.data()[i] - target.data()[i];
    total += d * d;
  }
  result.loss.data()[0] = total / T(static_cast<Real<T>>(y.size()));
  return result;
}

/// dy = 2·(y − t)·dloss / size from the kept difference.
template <Scalar T>
Tensor<T> mean_squared_error_backward(const Tensor<T>& dloss, const Tensor<T>& difference) {
  const T factor = T(2) * dloss.data()[0] / T(static_cast<Real<T>>(difference.size()));
  Tensor<T> dy(difference.shape(), difference.layout());
  for (Index i = 0; i < dy.size(); ++i) dy.data()[i] = difference.data()[i] * factor;
  return dy;
}

/// Mean over all elements of −t·log σ(z) − (1 − t)·log(1 − σ(z)), σ the logistic function.
template <Scalar T>
LossValue<T> binary_cross_entropy(const Tensor<T>& z, const Tensor<T>& target) {
  require_same_shape("binary_cross_entropy", z, target);
  detail::check_any("binary_cross_entropy", z.size());
  LossValue<T> result{Tensor<T>(Shape{}), Tensor<T>(z.shape(), z.layout())};
  T total = T(0);
  for (Index i = 0; i < z.size(); ++i) {
    const T x = z.data()[i], t = target.data()[i];
    total += scalar::binary_cross_entropy(x, t);
    result.kept.data()[i] = scalar::logistic(x) - t;
  }
  result.loss.data()[0] = total / T(static_cast<Real<T>>(z.size()));
  return result;
}

/// dz = (σ(z) − t)·dloss / size from the kept difference.
template <Scalar T>
Tensor<T> binary_cross_entropy_backward(const Tensor<T>& dloss, const Tensor<T>& difference) {
  const T factor = dloss.data()[0] / T(static_cast<Real<T>>(difference.size()));
  Tensor<T> dz(difference.shape(), difference.layout());
  for (Index i = 0; i < dz.size(); ++i) dz.data()[i] = difference.data()[i] * factor;
  return dz;
}

}  // namespace loru::inline LORU_ISA
