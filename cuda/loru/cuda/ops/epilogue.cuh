#pragma once
// What follows an op in the same pass.

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/map.cuh>

namespace loru::cuda::detail {

/// The epilogue of z at element `at`.
template <class T>
struct After {
  const T* residual;  // may be null
  bool relu;
  __device__ T operator()(T z, Index at) const {
    if (residual) z += residual[at];
    return relu ? scalar::relu(z) : z;
  }
};

}  // namespace loru::cuda::detail
