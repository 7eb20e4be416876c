#pragma once
// General matrix product.

#include <concepts>

#include <loru/core/compiled.hpp>
#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::cpu {

/// A row-major matrix in memory: element (i, j) at data[i * stride + j].
template <class T>
struct View {
  T* data;
  Index stride;
};

/// The chain of an element's sum is cut at multiples of this depth.
inline constexpr Index depth_block = 384;

/// C = alpha · op(A) · op(B) + beta · C with op(A) (m, k), op(B) (k, n), C (m, n), all row-major; beta = 0
/// ignores what C holds.
template <std::floating_point T>
void gemm(Op op_a, Op op_b, Index m, Index n, Index k, T alpha, View<const T> a, View<const T> b, T beta,
          View<T> c);

}  // namespace loru::inline LORU_ISA::cpu

#ifndef LORU_COMPILED
#include <loru/cpu/gemm/gemm_bodies.hpp>
#endif
