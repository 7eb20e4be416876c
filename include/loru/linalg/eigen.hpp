#pragma once
// Eigen's decompositions and views of our memory as its matrices.

#if defined(__CUDACC__) && !defined(EIGEN_NO_CUDA)
#define EIGEN_NO_CUDA  // Eigen stays host code under nvcc
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"  // g++ 12 about its own AVX-512 intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <Eigen/Core>
#if defined(EIGEN_USE_LAPACKE) || EIGEN_VERSION_AT_LEAST(3, 4, 90)
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#else  // two decompositions of these modules: a third of the time to parse
#include <Eigen/Householder>
#include <Eigen/Jacobi>
// clang-format off: in this order
#include <Eigen/src/Core/util/DisableStupidWarnings.h>
#include <Eigen/src/Eigenvalues/Tridiagonalization.h>
#include <Eigen/src/Eigenvalues/SelfAdjointEigenSolver.h>
#include <Eigen/src/QR/HouseholderQR.h>
#include <Eigen/src/Core/util/ReenableStupidWarnings.h>
// clang-format on
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

#include <loru/core/tensor.hpp>

namespace loru::inline LORU_ISA::linalg {

template <class T>
using RowMajor = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A row-major matrix in foreign memory whose rows are `stride` elements apart.
template <class T>
using StridedMap = Eigen::Map<T, Eigen::Unaligned, Eigen::OuterStride<>>;

template <class T>
StridedMap<RowMajor<T>> map(T* data, Index rows, Index cols, Index stride) {
  return {data, rows, cols, Eigen::OuterStride<>(stride)};
}

template <class T>
StridedMap<const RowMajor<T>> map(const T* data, Index rows, Index cols, Index stride) {
  return {data, rows, cols, Eigen::OuterStride<>(stride)};
}

}  // namespace loru::inline LORU_ISA::linalg
