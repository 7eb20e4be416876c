#pragma once
// Means and variances of channels and of groups of channels, in one pass over the data.
//
// A thread sums at most a few hundred rows of a column relative to the first of them; sets of rows are joined
// by the formula of Chan, Golub and LeVeque (1983), as on the host (include/loru/cpu/moments.hpp).

#include <loru/core/scalar.hpp>
#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/ops/columns.cuh>
#include <loru/cuda/ops/copy.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

namespace detail {

/// A policy of fold_columns: number of rows, mean and M2 = Σ(x − mean)² of a column of x (images, rows, C).
template <class T>
struct ColumnMoments {
  const T* x;
  Index rows, c;
  __device__ Values<T, 3> nothing() const { return {}; }
  __device__ Values<T, 3> join(Values<T, 3> a, Values<T, 3> b) const {
    if (b.v[0] == T(0)) return a;
    const T share = b.v[0] / (a.v[0] + b.v[0]);
    scalar::join_moments(a.v[1], a.v[2], b.v[1], b.v[2], share, a.v[0] * share);
    a.v[0] += b.v[0];
    return a;
  }
  __device__ Values<T, 3> part(Index image, Index first, Index last, Index step, Index j) const {
    const T *column = x + image * rows * c + j, shift = column[first * c];
    T count = T(0), sum = T(0), squares = T(0);
    for (Index i = first; i < last; i += step) {
      const T d = column[i * c] - shift;
      count += T(1);
      sum += d;
      squares += d * d;
    }
    const T offset = sum / count;
    return {count, shift + offset, squares - sum * offset};
  }
};

/// Moments of group i % G of image i / G from its columns' (images, 3, C).
template <class T>
struct GroupMoments {
  const T* columns;
  T *mean, *variance, *inverse;
  Index c, width, rows;  // channels, of a group
  LongDivisor groups;
  T epsilon;
  __device__ void operator()(Index i) const {
    const Index image = groups.quotient(i);
    const T* of_image = columns + image * 3 * c + groups.remainder(i, image) * width;
    T sum = T(0), m2 = T(0);
    for (Index j = 0; j < width; ++j) sum += of_image[c + j];
    const T center = sum / static_cast<T>(width);
    for (Index j = 0; j < width; ++j) {
      const T d = of_image[c + j] - center;
      m2 += of_image[2 * c + j] + static_cast<T>(rows) * (d * d);
    }
    mean[i] = center;
    variance[i] = m2 / static_cast<T>(rows * width);
    inverse[i] = scalar::inverse_deviation(variance[i], epsilon);
  }
};

/// Running moments that move towards a batch's, r' = keep·r + share·batch with the variance's own share; null
/// where there are none.
template <class T>
struct Running {
  T *mean = nullptr, *variance = nullptr;
  T keep = T(1), share = T(0), variance_share = T(0);
};

/// A store: the moments of column j, and the running ones.
template <class T>
struct StoreMoments {
  T *mean, *variance, *inverse;
  T rows, epsilon;
  Running<T> running{};

  StoreMoments(Moments<T, Cuda>& m, Index n, double eps)
      : mean{m.mean.data()},
        variance{m.variance.data()},
        inverse{m.inverse_deviation.data()},
        rows{static_cast<T>(n)},
        epsilon{static_cast<T>(eps)} {}

  __device__ void operator()(Index, Index j, const Values<T, 3>& column) const {
    using std::fma;
    const T spread = column.v[2] / rows;
    mean[j] = column.v[1];
    variance[j] = spread;
    inverse[j] = scalar::inverse_deviation(spread, epsilon);
    if (!running.mean) return;
    running.mean[j] = fma(running.share, column.v[1], running.keep * running.mean[j]);
    running.variance[j] = fma(running.variance_share, spread, running.keep * running.variance[j]);
  }
};

template <class T>
struct InverseDeviation {
  T epsilon;
  __device__ T operator()(T variance) const { return scalar::inverse_deviation(variance, epsilon); }
};

}  // namespace detail

template <class T>
Moments<T, Cuda> fixed_moments(const Array<T>& mean, const Array<T>& variance, double epsilon) {
  require_same_shape("fixed_moments", mean, variance);
  return {mean, variance,
          detail::map("fixed_moments", detail::InverseDeviation<T>{static_cast<T>(epsilon)}, variance)};
}

template <class T>
Moments<T, Cuda> batch_moments(const Array<T>& x_any, double epsilon) {
  loru::detail::check_batch(x_any.shape());
  const Array<T> x = to_layout(x_any, Layout::channels_last);
  const Index c = x.dim(1), rows = x.size() / c;
  Moments<T, Cuda> m{Array<T>(Shape{c}), Array<T>(Shape{c}), Array<T>(Shape{c})};
  detail::fold_columns_into<T, 3>("moments", 1, rows, c, detail::ColumnMoments<T>{x.data(), rows, c},
                                  detail::StoreMoments<T>(m, rows, epsilon));
  return m;
}

template <class T>
Moments<T, Cuda> group_moments(const Array<T>& x_any, Index groups, double epsilon) {
  loru::detail::check_groups(x_any.shape(), groups);
  const Array<T> x = to_layout(x_any, Layout::channels_last);
  const Index images = x.dim(0), rows = x.dim(2) * x.dim(3), c = x.dim(1);
  const auto columns =
      detail::fold_columns<T, 3>("moments", images, rows, c, detail::ColumnMoments<T>{x.data(), rows, c});
  const Shape shape{images, groups};
  Moments<T, Cuda> m{Array<T>(shape), Array<T>(shape), Array<T>(shape)};
  detail::for_each(
      "moments", images * groups,
      detail::GroupMoments<T>{columns.data(), m.mean.data(), m.variance.data(), m.inverse_deviation.data(), c,
                              c / groups, rows, LongDivisor(groups), static_cast<T>(epsilon)});
  return m;
}

}  // namespace loru::cuda
