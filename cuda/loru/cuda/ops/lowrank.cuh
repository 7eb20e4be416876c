#pragma once
// Products of factors beside or added to a weight.

#include <loru/cuda/ops/matmul.cuh>

namespace loru::cuda {

template <class T>
void lowrank_merge(Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  const Index r = loru::detail::factor_rank("lowrank_merge", w, a, b), m = w.dim(0);
  if (r == 0) return;
  Array<T> matrix = w.as_matrix(m);
  matmul_into(matrix, static_cast<T>(s), b.as_matrix(m), a.as_matrix(r), {}, T(1));
}

template <class T>
Array<T> lowrank_compose(const Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  Array<T> composed = clone(w);
  lowrank_merge(composed, a, b, s);
  return composed;
}

}  // namespace loru::cuda
