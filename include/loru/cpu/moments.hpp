#pragma once
// Means and variances of channels and of groups of channels on host tensors, in one pass over the data.
//
// Blocks of 64 rows are summed relative to their first row and joined by the formula of Chan, Golub and
// LeVeque (1983): M2 = Σ(x − μ)² of two parts is M2ₐ + M2_b + (μ_b − μₐ)²·nₐ·n_b / (nₐ + n_b). In a block M2
// = Σ(x − x₀)² − n·(μ − x₀)², x₀ being the first row. Since x₀ is one of the n <= 64 rows, M2 is at least a
// 64th of the first sum: nothing cancels, whatever the mean.

#include <loru/core/scalar.hpp>
#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// Moments from a given mean and biased variance.
template <Scalar T>
Moments<T> fixed_moments(const Tensor<T>& mean, const Tensor<T>& variance, double epsilon) {
  require_same_shape("fixed_moments", mean, variance);
  Tensor<T> inverse(mean.shape());
  for (Index j = 0; j < mean.size(); ++j)
    inverse.data()[j] = scalar::inverse_deviation(variance.data()[j], T(static_cast<Real<T>>(epsilon)));
  return {mean, variance, inverse};
}

namespace cpu {

template <Scalar T>
T ratio(Index a, Index b) {
  return T(static_cast<Real<T>>(a) / static_cast<Real<T>>(b));
}

/// Mean and M2 of every column of a block of at most sum_rows rows.
template <Scalar T>
void block_moments(Index rows, Index c, const T* __restrict x, T* __restrict mean, T* __restrict m2) {
  std::fill(mean, mean + c, T(0));
  std::fill(m2, m2 + c, T(0));
  Index i = 0;
  for (; i + 4 <= rows; i += 4)
    for (Index j = 0; j < c; ++j) {
      const T *at = x + i * c + j, shift = x[j];
      const T p = at[0] - shift, q = at[c] - shift, r = at[2 * c] - shift, s = at[3 * c] - shift;
      mean[j] += (p + q) + (r + s);
      m2[j] += (p * p + q * q) + (r * r + s * s);
    }
  for (; i < rows; ++i)
    for (Index j = 0; j < c; ++j) {
      const T d = x[i * c + j] - x[j];
      mean[j] += d;
      m2[j] += d * d;
    }
  const T weight = ratio<T>(1, rows);
  for (Index j = 0; j < c; ++j) {
    const T offset = mean[j] * weight;
    m2[j] -= mean[j] * offset;
    mean[j] = x[j] + offset;
  }
}

/// Joins the moments of a part of `more` rows to those of a part of `rows` rows. An empty part has zero
/// moments.
template <Scalar T>
void join_moments(Index rows, Index more, Index c, T* __restrict mean, T* __restrict m2,
                  const T* __restrict mean_more, const T* __restrict m2_more) {
  const T share = ratio<T>(more, rows + more), weight = T(static_cast<Real<T>>(rows)) * share;
  for (Index j = 0; j < c; ++j) scalar::join_moments(mean[j], m2[j], mean_more[j], m2_more[j], share, weight);
}

/// Mean and M2 of every column of x (rows, C): out (2, C).
template <Scalar T>
void column_moments(Index rows, Index c, const T* x, T* out) {
  const Index piece = piece_rows(c), pieces = (rows + piece - 1) / piece;
  Tensor<T> parts(Shape{pieces, 2 * c});
  T* part = parts.data();
  parallel_blocks(rows, piece, [=](Index begin, Index end) {
    T* mine = part + begin / piece * 2 * c;
    Tensor<T> block(Shape{2, c});
    T* b = block.data();
    std::fill(mine, mine + 2 * c, T(0));
    for (Index first = begin; first < end; first += sum_rows) {
      const Index count = std::min(sum_rows, end - first);
      block_moments(count, c, x + first * c, b, b + c);
      join_moments(first - begin, count, c, mine, mine + c, b, b + c);
    }
  });
  std::fill(out, out + 2 * c, T(0));
  for (Index i = 0; i < pieces; ++i)
    join_moments(i * piece, std::min(piece, rows - i * piece), c, out, out + c, part + i * 2 * c,
                 part + i * 2 * c + c);
}

}  // namespace cpu

/// Moments of every channel over N, H and W of x (N, C, H, W): shape (C). Throws ShapeError without a pixel.
template <Scalar T>
Moments<T> batch_moments(const Tensor<T>& x_any, double epsilon) {
  detail::check_batch(x_any.shape());
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index c = x.dim(1), rows = x.size() / c;
  Tensor<T> both(Shape{2, c}), mean(Shape{c}), variance(Shape{c});
  cpu::column_moments(rows, c, x.data(), both.data());
  const T weight = cpu::ratio<T>(1, rows);
  for (Index j = 0; j < c; ++j) {
    mean.data()[j] = both.data()[j];
    variance.data()[j] = weight * both.data()[c + j];
  }
  return fixed_moments(mean, variance, epsilon);
}

/// Moments of every group of C / groups channels of every image: shape (N, groups).
template <Scalar T>
Moments<T> group_moments(const Tensor<T>& x_any, Index groups, double epsilon) {
  detail::check_groups(x_any.shape(), groups);
  const Tensor<T> x = to_layout(x_any, Layout::channels_last);
  const Index n = x.dim(0), c = x.dim(1), pixels = x.dim(2) * x.dim(3), width = c / groups;
  Tensor<T> mean(Shape{n, groups}), variance(Shape{n, groups});
  T *mu = mean.data(), *var = variance.data();
  const T of_width = cpu::ratio<T>(1, width), count = T(static_cast<Real<T>>(pixels));
  parallel_for(n, [&, mu, var](Index i) {
    Tensor<T> columns(Shape{2, c});
    const T *column_mean = columns.data(), *column_m2 = column_mean + c;
    cpu::column_moments(pixels, c, x.data() + i * pixels * c, columns.data());
    for (Index g = 0; g < groups; ++g) {
      T sum = T(0), m2 = T(0);
      for (Index j = g * width; j < (g + 1) * width; ++j) sum += column_mean[j];
      const T center = sum * of_width;
      for (Index j = g * width; j < (g + 1) * width; ++j) {
        const T d = column_mean[j] - center;
        m2 += column_m2[j] + count * (d * d);
      }
      mu[i * groups + g] = center;
      var[i * groups + g] = m2 * cpu::ratio<T>(1, pixels * width);
    }
  });
  return fixed_moments(mean, variance, epsilon);
}

}  // namespace loru::inline LORU_ISA
