#pragma once
// Sums over host tensors.

#include <loru/core/parallel.hpp>
#include <loru/core/tensor.hpp>

namespace loru {

namespace detail {

/// Adds Σ_i f(i, j) over rows i of [0, rows) to out[j]. Partial sums of 64 rows keep the rounding error small;
/// the order depends on the shape alone.
template <Scalar T, class F>
void column_sums(Index rows, Index cols, T* out, F f) {
  constexpr Index block = 64;
  Tensor<T> partial(Shape{cols});
  T* p = partial.data();
  for (Index first = 0; first < rows; first += block) {
    std::fill(p, p + cols, T(0));
    for (Index i = first; i < std::min(first + block, rows); ++i)
      for (Index j = 0; j < cols; ++j) p[j] += f(i, j);
    for (Index j = 0; j < cols; ++j) out[j] += p[j];
  }
}

}  // namespace detail

/// Sum of the rows of x (M, n): shape (n).
template <Scalar T>
Tensor<T> column_sum(const Tensor<T>& x) {
  require<ShapeError>(x.rank() == 2, "column_sum: expected a matrix, got ", x.shape());
  const Index m = x.dim(0), n = x.dim(1);
  Tensor<T> y(Shape{n});
  std::fill(y.data(), y.data() + n, T(0));
  const T* data = x.data();
  detail::column_sums(m, n, y.data(), [=](Index i, Index j) { return data[i * n + j]; });
  return y;
}

/// Sum of all elements: shape ().
template <Scalar T>
Tensor<T> sum(const Tensor<T>& x) {
  Tensor<T> y{Shape{}};
  y.data()[0] = T(0);
  const T* data = x.data();
  detail::column_sums(x.size(), Index{1}, y.data(), [=](Index i, Index) { return data[i]; });
  return y;
}

namespace detail {

/// Σ xᵢ² of the value parts of n elements, in 32 interleaved sums so that neither latency nor rounding piles up.
template <Scalar T>
double squares(const T* x, Index n) {
  constexpr Index lanes = 32;
  double sums[lanes] = {};
  const auto add = [&sums](Index lane, const T& element) {
    const auto v = static_cast<double>(value_of(element));
    sums[lane] += v * v;
  };
  for (; n >= lanes; n -= lanes, x += lanes)
    for (Index lane = 0; lane < lanes; ++lane) add(lane, x[lane]);
  for (Index lane = 0; lane < n; ++lane) add(lane, x[lane]);
  double total = 0.0;
  for (double s : sums) total += s;
  return total;
}

}  // namespace detail

/// Σ xᵢ² of the value parts, in double.
template <Scalar T>
double squared_norm(const Tensor<T>& x) {
  constexpr Index block = Index{1} << 15;
  const T* data = x.data();
  Tensor<double> parts(Shape{(x.size() + block - 1) / block});
  double* part = parts.data();
  parallel_blocks(x.size(), block, [=](Index first, Index last) {
    part[first / block] = detail::squares(data + first, last - first);
  });
  double total = 0.0;
  for (double p : parts.span()) total += p;
  return total;
}

/// True if every value part is finite.
template <Scalar T>
bool all_finite(const Tensor<T>& x) {
  using std::isfinite;
  for (Index i = 0, n = x.size(); i < n; ++i)
    if (!isfinite(x.data()[i])) return false;
  return true;
}

}  // namespace loru
