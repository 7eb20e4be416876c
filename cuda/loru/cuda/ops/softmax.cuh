#pragma once
// Losses of classification and regression.

#include <cmath>

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/labels.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

namespace detail {

/// Throws ShapeError as the host does; waits for the stream.
inline void check_labels(const char* where, const Shape& z, const Labels& labels) {
  loru::detail::check_logits(where, z, labels);
  if (const auto bad = first_outside(where, labels, z[1]))
    loru::detail::fail_label(where, bad->label, bad->place, z[1]);
}

struct Greater {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

/// A row by a warp: p = softmax(z). Its first lane gets −log p[label], the others 0.
template <class T>
__device__ T softmax_row(Index row, Index n, const T* z, const std::int32_t* labels, T* p) {
  z += row * n;
  p += row * n;
  T largest = z[0], sum = T(0);
  for (Index j = threadIdx.x % 32; j < n; j += 32) largest = Greater{}(largest, z[j]);
  largest = fold_warp(largest, Greater{});
  for (Index j = threadIdx.x % 32; j < n; j += 32) sum += p[j] = std::exp(z[j] - largest);
  sum = fold_warp(sum, Plus{});
  for (Index j = threadIdx.x % 32; j < n; j += 32) p[j] /= sum;
  return threadIdx.x % 32 == 0 ? std::log(sum) - (z[labels[row]] - largest) : T(0);
}

template <class T>
__global__ void __launch_bounds__(fold_threads)
    softmax_kernel(Index m, Index n, const T* z, const std::int32_t* labels, T* p, T* loss) {
  const Index row = static_cast<Index>(blockIdx.x) * fold_warps + threadIdx.x / 32;
  if (row >= m) return;
  const T of_row = softmax_row(row, n, z, labels, p);
  if (threadIdx.x % 32 == 0) loss[row] = of_row;
}

/// All rows by one block, and their mean loss.
template <class T>
__global__ void __launch_bounds__(fold_threads)
    softmax_mean_kernel(Index m, Index n, const T* z, const std::int32_t* labels, T* p, T* mean) {
  T sum = T(0);
  for (Index row = threadIdx.x / 32; row < m; row += fold_warps) sum += softmax_row(row, n, z, labels, p);
  sum = join_block(sum, Plus{});
  if (threadIdx.x == 0) mean[0] = sum / static_cast<T>(m);
}

/// dz = (p − onehot(label)) · dloss / M.
template <class T>
struct CrossEntropyGradient {
  const T *p, *dloss;
  const std::int32_t* labels;
  T* dz;
  Index m, n;
  __device__ void operator()(Index i) const {
    dz[i] = scalar::cross_entropy_gradient(p[i], i % n == labels[i / n], dloss[0] / static_cast<T>(m));
  }
};

/// 1 if the largest entry of row i, the first of equals, is the label's.
template <class T>
struct Correct {
  const T* z;
  const std::int32_t* labels;
  Index n;
  __device__ Index operator()(Index i) const { return scalar::first_largest(z + i * n, n) == labels[i]; }
};

template <class T>
struct Difference {
  __device__ T operator()(T y, T target) const { return y - target; }
};

template <class T>
struct SquaredElement {
  const T* x;
  __device__ T operator()(Index i) const { return x[i] * x[i]; }
};

template <class T>
struct DivideBy {
  T n;
  __device__ T operator()(T x) const { return x / n; }
};

template <class T>
struct LogisticDifference {
  __device__ T operator()(T z, T target) const { return scalar::logistic(z) - target; }
};

template <class T>
struct BinaryCrossEntropy {
  const T *z, *target;
  __device__ T operator()(Index i) const { return scalar::binary_cross_entropy(z[i], target[i]); }
};

/// dy = factor·difference·dloss / size.
template <class T>
struct DifferenceGradient {
  const T *difference, *dloss;
  T* dy;
  Index n;
  T factor;
  __device__ void operator()(Index i) const {
    dy[i] = difference[i] * (factor * dloss[0] / static_cast<T>(n));
  }
};

template <class T>
Array<T> difference_gradient(const char* where, const Array<T>& dloss, const Array<T>& difference, T factor) {
  Array<T> dy(difference.shape(), difference.layout());
  for_each(where, dy.size(),
           DifferenceGradient<T>{difference.data(), dloss.data(), dy.data(), dy.size(), factor});
  return dy;
}

/// The sum of n terms, divided by n: shape ().
template <class T, class F>
Array<T> mean_of(const char* where, Index n, F f) {
  return fold(where, n, T(0), Plus{}, f, DivideBy<T>{static_cast<T>(n)});
}

}  // namespace detail

template <class T>
LossValue<T, Cuda> known_cross_entropy(const Array<T>& z, const Labels& labels) {
  loru::detail::check_logits("cross_entropy", z.shape(), labels);
  const Index m = z.dim(0), n = z.dim(1);
  Array<T> p(z.shape());
  constexpr Index few_rows = 256, few = 1 << 14;  // what one block does at once
  if (m <= few_rows && m * n <= few) {
    Array<T> mean(Shape{});
    launch("cross_entropy", detail::softmax_mean_kernel<T>, dim3(1), dim3(detail::fold_threads),
           detail::fold_warps * sizeof(T), current_stream(), m, n, z.data(), labels.data(), p.data(),
           mean.data());
    return {std::move(mean), std::move(p)};
  }
  Array<T> rows(Shape{m});
  launch("cross_entropy", detail::softmax_kernel<T>,
         dim3(static_cast<unsigned>((m + detail::fold_warps - 1) / detail::fold_warps)),
         dim3(detail::fold_threads), 0, current_stream(), m, n, z.data(), labels.data(), p.data(),
         rows.data());
  return {detail::mean_of<T>("cross_entropy", m, detail::Element<T>{rows.data()}), std::move(p)};
}

template <class T>
LossValue<T, Cuda> cross_entropy(const Array<T>& z, const Labels& labels) {
  detail::check_labels("cross_entropy", z.shape(), labels);
  return known_cross_entropy(z, labels);
}

template <class T>
Array<T> cross_entropy_backward(const Array<T>& dloss, const Array<T>& probabilities, const Labels& labels) {
  const Index m = probabilities.dim(0), n = probabilities.dim(1);
  Array<T> dz(probabilities.shape());
  detail::for_each(
      "cross_entropy_backward", dz.size(),
      detail::CrossEntropyGradient<T>{probabilities.data(), dloss.data(), labels.data(), dz.data(), m, n});
  return dz;
}

template <class T>
Index count_correct(const Array<T>& z, const Labels& labels) {
  detail::check_labels("count_correct", z.shape(), labels);
  return detail::read(detail::fold("count_correct", z.dim(0), Index{0}, detail::Plus{},
                                   detail::Correct<T>{z.data(), labels.data(), z.dim(1)}));
}

template <class T>
LossValue<T, Cuda> mean_squared_error(const Array<T>& y, const Array<T>& target) {
  require_same_shape("mean_squared_error", y, target);
  loru::detail::check_any("mean_squared_error", y.size());
  Array<T> kept = detail::map("mean_squared_error", detail::Difference<T>{}, y, target);
  Array<T> loss = detail::mean_of<T>("mean_squared_error", y.size(), detail::SquaredElement<T>{kept.data()});
  return {std::move(loss), std::move(kept)};
}

template <class T>
Array<T> mean_squared_error_backward(const Array<T>& dloss, const Array<T>& difference) {
  return detail::difference_gradient("mean_squared_error_backward", dloss, difference, T(2));
}

template <class T>
LossValue<T, Cuda> binary_cross_entropy(const Array<T>& z, const Array<T>& target) {
  require_same_shape("binary_cross_entropy", z, target);
  loru::detail::check_any("binary_cross_entropy", z.size());
  Array<T> kept = detail::map("binary_cross_entropy", detail::LogisticDifference<T>{}, z, target);
  Array<T> loss = detail::mean_of<T>("binary_cross_entropy", z.size(),
                                     detail::BinaryCrossEntropy<T>{z.data(), target.data()});
  return {std::move(loss), std::move(kept)};
}

template <class T>
Array<T> binary_cross_entropy_backward(const Array<T>& dloss, const Array<T>& difference) {
  return detail::difference_gradient("binary_cross_entropy_backward", dloss, difference, T(1));
}

}  // namespace loru::cuda
