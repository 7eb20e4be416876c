#pragma once
// What follows an op in the same pass over rows of channels.

#include <loru/core/scalar.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA::cpu {

/// y[at] = the epilogue of z(x[at], j), for every row and channel j of rows · C elements. `from` is the place
/// of x and y in the residual. y may be x.
template <Scalar T, class F>
void map_through(const Epilogue<Tensor<T>>& after, Index rows, Index c, const T* x, T* y, F z,
                 Index from = 0) {
  const T* r = after.residual ? after.residual.data() + from : nullptr;
  if (r && after.relu)
    map_rows(rows, c, x, y, [=](T v, Index at, Index j) { return scalar::relu(z(v, j) + r[at]); });
  else if (r)
    map_rows(rows, c, x, y, [=](T v, Index at, Index j) { return z(v, j) + r[at]; });
  else if (after.relu)
    map_rows(rows, c, x, y, [=](T v, Index, Index j) { return scalar::relu(z(v, j)); });
  else
    map_rows(rows, c, x, y, [=](T v, Index, Index j) { return z(v, j); });
}

}  // namespace loru::inline LORU_ISA::cpu
