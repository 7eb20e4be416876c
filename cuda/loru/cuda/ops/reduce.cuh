#pragma once
// Sums over tensors.

#include <cmath>

#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/ops/fold.cuh>

namespace loru::cuda {

namespace detail {

template <class T>
struct Square {
  const T* x;
  __device__ double operator()(Index i) const {
    return static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
};

/// 1 where x is finite, 0 elsewhere.
template <class T>
struct Finite {
  const T* x;
  __device__ int operator()(Index i) const { return x[i] - x[i] == T(0); }
};

}  // namespace detail

template <class T>
Array<T> column_sum(const Array<T>& x) {
  require<ShapeError>(x.rank() == 2, "column_sum: expected a matrix, got ", x.shape());
  const Index c = x.dim(1);
  const auto sums = detail::column_sums<T, 1>("column_sum", 1, x.dim(0), c, detail::Terms<T>{x.data(), c});
  return sums.reinterpret({c}, Layout::row_major);
}

template <class T>
Array<T> sum(const Array<T>& x) {
  return detail::fold("sum", x.size(), T(0), detail::Plus{}, detail::Element<T>{x.data()});
}

template <class T>
double squared_norm(const Array<T>& x) {
  return detail::read(
      detail::fold("squared_norm", x.size(), 0.0, detail::Plus{}, detail::Square<T>{x.data()}));
}

template <class T>
bool all_finite(const Array<T>& x) {
  return detail::read(
             detail::fold("all_finite", x.size(), 1, detail::Least{}, detail::Finite<T>{x.data()})) == 1;
}

}  // namespace loru::cuda
