#pragma once
// Loops over rows of channels, the form of all activations: (N·H·W, C) or (M, n). They run in pieces that
// depend on the shape alone, so that results are the same bits for any number of threads.

#include <array>

#include <loru/core/parallel.hpp>
#include <loru/core/scalar.hpp>
#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::cpu {

/// Rows that sums run over before they are added up further, against rounding.
inline constexpr Index sum_rows = 64;

/// Rows of a piece of about 2¹⁵ elements, a multiple of sum_rows.
inline Index piece_rows(Index c) { return ((Index{1} << 15) / (sum_rows * c + 1) + 1) * sum_rows; }

template <Scalar T, class F>
void map_in_place(Index first, Index last, Index c, T* __restrict y, F f) {
  for (Index i = first; i < last; ++i)
    for (Index j = 0, at = i * c; j < c; ++j, ++at) y[at] = f(y[at], at, j);
}

template <Scalar T, class F>
void map_apart(Index first, Index last, Index c, const T* __restrict x, T* __restrict y, F f) {
  for (Index i = first; i < last; ++i)
    for (Index j = 0, at = i * c; j < c; ++j, ++at) y[at] = f(x[at], at, j);
}

/// y[at] = f(x[at], at, j) with at = i·C + j, for every row i and channel j. y may be x; f reads nothing else
/// of y.
template <Scalar T, class F>
void map_rows(Index rows, Index c, const T* x, T* y, F f) {
  parallel_blocks(rows, piece_rows(c), [=](Index first, Index last) {
    if (x == y)
      map_in_place(first, last, c, y, f);
    else
      map_apart(first, last, c, x, y, f);
  });
}

/// y[i] = f(x[i], i) for n elements. y may be x.
template <Scalar T, class F>
void map_elements(Index n, const T* x, T* y, F f) {
  parallel_blocks(n, Index{1} << 15, [=](Index first, Index last) {
    const auto element = [=](T v, Index, Index j) { return f(v, first + j); };
    if (x == y)
      map_in_place(Index{0}, Index{1}, last - first, y + first, element);
    else
      map_apart(Index{0}, Index{1}, last - first, x + first, y + first, element);
  });
}

/// sums[k, j] += Σ f(i, j)[k] over rows [first, last).
template <std::size_t K, Scalar T, class F>
void add_rows(Index first, Index last, Index c, T* __restrict sums, F f) {
  Index i = first;
  for (; i + 4 <= last; i += 4)
    for (Index j = 0; j < c; ++j) {
      const std::array<T, K> p = f(i, j), q = f(i + 1, j), r = f(i + 2, j), s = f(i + 3, j);
      for (std::size_t k = 0; k < K; ++k)
        sums[static_cast<Index>(k) * c + j] += (p[k] + q[k]) + (r[k] + s[k]);
    }
  for (; i < last; ++i)
    for (Index j = 0; j < c; ++j) {
      const std::array<T, K> p = f(i, j);
      for (std::size_t k = 0; k < K; ++k) sums[static_cast<Index>(k) * c + j] += p[k];
    }
}

/// dy = 0 where y <= 0.
template <Scalar T>
void mask(Index n, const T* __restrict y, T* __restrict dy) {
  for (Index i = 0; i < n; ++i) dy[i] = scalar::relu_gradient(y[i], dy[i]);
}

/// out[k, j] = Σ_i f(i, j)[k], K sums in one pass; f gives a std::array<T, K>. before(first, last) is called
/// for each block of at most sum_rows rows right before its sums; it may change the values that f reads.
template <std::size_t K, Scalar T, class F, class Before>
void column_sums(Index rows, Index c, T* out, F f, Before before) {
  const Index width = static_cast<Index>(K) * c, piece = piece_rows(c);
  Tensor<T> totals(Shape{(rows + piece - 1) / piece, width});
  T* total = totals.data();
  parallel_blocks(rows, piece, [=](Index begin, Index end) {
    T* mine = total + begin / piece * width;
    Tensor<T> partial(Shape{width});
    T* sums = partial.data();
    std::fill(mine, mine + width, T(0));
    for (Index first = begin; first < end; first += sum_rows) {
      const Index last = std::min(first + sum_rows, end);
      before(first, last);
      std::fill(sums, sums + width, T(0));
      add_rows<K>(first, last, c, sums, f);
      for (Index j = 0; j < width; ++j) mine[j] += sums[j];
    }
  });
  std::fill(out, out + width, T(0));
  for (Index i = 0; i < totals.dim(0); ++i)
    for (Index j = 0; j < width; ++j) out[j] += total[i * width + j];
}

template <std::size_t K, Scalar T, class F>
void column_sums(Index rows, Index c, T* out, F f) {
  column_sums<K>(rows, c, out, f, [](Index, Index) {});
}

}  // namespace loru::inline LORU_ISA::cpu
