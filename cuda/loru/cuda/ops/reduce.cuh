#pragma once
// Sums over tensors.

#include <cmath>

#include <loru/cuda/ops/columns.cuh>
#include <loru/cuda/ops/copy.cuh>

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

/// min(1, limit / (√squares + 1e-6)): optim::clip_factor.
struct ClipFactor {
  double limit;
  __device__ double operator()(double squares) const {
    const double factor = limit / (std::sqrt(squares) + 1e-6);
    return factor < 1.0 ? factor : 1.0;
  }
};

/// F of each of many tensors, and their sizes.
template <class F, class T>
std::pair<std::vector<F>, std::vector<Index>> each_of(const std::vector<const Array<T>*>& all) {
  std::pair<std::vector<F>, std::vector<Index>> loops;
  for (const Array<T>* x : all) {
    loops.first.push_back(F{x->data()});
    loops.second.push_back(x->size());
  }
  return loops;
}

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
Index first_not_finite(const std::vector<const Array<T>*>& all);

template <class T>
bool all_finite(const Array<T>& x) {
  return first_not_finite(std::vector<const Array<T>*>{&x}) == 1;
}

template <class T>
Index first_not_finite(const std::vector<const Array<T>*>& all) {
  const auto [loops, sizes] = detail::each_of<detail::Finite<T>>(all);
  const auto finite = detail::read_all(detail::fold_of("all_finite", loops, sizes, 1, detail::Least{}));
  std::size_t block = 0;
  for (std::size_t j = 0; j < sizes.size(); ++j)
    for (Index at = 0; at < sizes[j]; at += detail::fold_block_elements)
      if (finite[block++] == 0) return static_cast<Index>(j);
  return static_cast<Index>(sizes.size());
}

template <class T>
Array<double> clip_scale(const std::vector<const Array<T>*>& gradients, double limit) {
  const auto [loops, sizes] = detail::each_of<detail::Square<T>>(gradients);
  const auto parts = detail::fold_of("clip_scale", loops, sizes, 0.0, detail::Plus{});
  return detail::fold("clip_scale", parts.size(), 0.0, detail::Plus{}, detail::Element<double>{parts.data()},
                      detail::ClipFactor{limit});
}

}  // namespace loru::cuda
