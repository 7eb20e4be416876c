#pragma once
// Rows gathered from a table of variables.

#include <loru/autograd/variable.hpp>

namespace loru::inline LORU_ISA {

/// y[i] = table[rows[i]]: table (V, n), which may be kept in blocks, rows (M), y (M, n).
template <class T, class D>
  requires SequenceBackend<D, T>
Variable<T, D> embedding(const Variable<T, D>& table, const Tensor<std::int32_t, D>& rows) {
  const auto gather = [&](const auto& matrix) { return embedding(matrix, rows); };
  return {"embedding", with_matrix(table, gather), {table}, [table, rows](const Tensor<T, D>& dy) {
            table.accumulate(embedding_backward(dy, rows, table.shape()));
          }};
}

}  // namespace loru::inline LORU_ISA
