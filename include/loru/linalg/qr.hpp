#pragma once
// QR decomposition of tall matrices, in double.

#include <concepts>

#include <loru/core/compiled.hpp>
#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::linalg {

/// A = Q·R with orthonormal columns Q (m, n) and upper triangular R (n, n).
struct Qr {
  Tensor<double> q, r;
};

/// Thin QR decomposition by Householder reflections. Throws ShapeError unless A is a matrix (m, n) with m >=
/// n.
template <std::same_as<double> T>
Qr thin_qr(const Tensor<T>& a);

}  // namespace loru::inline LORU_ISA::linalg

#ifndef LORU_COMPILED
#include <loru/linalg/qr_bodies.hpp>
#endif
