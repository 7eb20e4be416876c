#pragma once
// Rows gathered from a table, on host tensors.

#include <numeric>
#include <vector>

#include <loru/core/blocks.hpp>
#include <loru/cpu/elementwise.hpp>
#include <loru/ops/sequence.hpp>

namespace loru::inline LORU_ISA {

namespace cpu {

inline void check_rows(const char* where, const Shape& table, const Tensor<std::int32_t>& rows) {
  detail::check_embedding(where, table, rows.shape());
  for (Index i = 0; i < rows.size(); ++i)
    if (rows.data()[i] < 0 || rows.data()[i] >= table[0])
      detail::fail_row(where, rows.data()[i], i, table[0]);
}

}  // namespace cpu

/// y[i] = table[rows[i]]: table (V, n), rows (M) within [0, V), y (M, n). Throws ShapeError.
template <Scalar T>
Tensor<T> embedding(const Tensor<T>& table, const Tensor<std::int32_t>& rows) {
  cpu::check_rows("embedding", table.shape(), rows);
  const Index n = table.dim(1);
  Tensor<T> y(Shape{rows.size(), n});
  const T* from = table.data();
  const std::int32_t* row = rows.data();
  T* to = y.data();
  parallel_blocks(rows.size(), cpu::piece_rows(n), [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) std::copy(from + row[i] * n, from + (row[i] + 1) * n, to + i * n);
  });
  return y;
}

/// The same rows of a table in blocks, decoded.
inline Tensor<float> embedding(const BlockTensor& table, const Tensor<std::int32_t>& rows) {
  cpu::check_rows("embedding", table.shape, rows);
  const Index n = table.dim(1);
  Tensor<float> y(Shape{rows.size(), n});
  parallel_blocks(rows.size(), cpu::piece_rows(n), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) decode_rows(table, rows.data()[i], 1, y.data() + i * n);
  });
  return y;
}

/// dtable[v] = Σ dy[i] over the places i with rows[i] = v, in their order; zero for rows that nobody read.
/// dy (M, n), table = (V, n). Throws ShapeError.
template <Scalar T>
Tensor<T> embedding_backward(const Tensor<T>& dy, const Tensor<std::int32_t>& rows, const Shape& table) {
  cpu::check_rows("embedding_backward", table, rows);
  require<ShapeError>(dy.shape() == Shape{rows.size(), table[1]},
                      "embedding_backward: expected dy of shape (", rows.size(), ", ", table[1], "), got ",
                      dy.shape());
  Tensor<T> d(table);
  fill(d, T(0));
  const Index n = table[1];
  const std::int32_t* row = rows.data();
  // Places sorted by row: each row is one segment, and one thread's work.
  std::vector<Index> order(static_cast<std::size_t>(rows.size())), segments;
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [row](Index a, Index b) { return row[a] < row[b]; });
  for (std::size_t i = 0; i < order.size(); ++i)
    if (i == 0 || row[order[i]] != row[order[i - 1]]) segments.push_back(static_cast<Index>(i));
  segments.push_back(rows.size());
  const T* in = dy.data();
  T* out = d.data();
  parallel_for(static_cast<Index>(segments.size()) - 1, [&, in, out](Index s) {
    const auto segment = static_cast<std::size_t>(s);
    for (Index i = segments[segment]; i < segments[segment + 1]; ++i) {
      const Index place = order[static_cast<std::size_t>(i)];
      for (Index j = 0; j < n; ++j) out[row[place] * n + j] += in[place * n + j];
    }
  });
  return d;
}

}  // namespace loru::inline LORU_ISA
