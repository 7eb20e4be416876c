#pragma once
// The tag of the CUDA device. Its ops are declared in loru/cuda/ops.hpp.

#include <loru/core/tensor.hpp>
#include <loru/cuda/memory.hpp>

namespace loru::cuda {

/// The current CUDA device of the process.
struct Cuda {
  static constexpr const char* name = "cuda";
  static Buffer allocate(std::size_t bytes) { return cuda::allocate(bytes); }
};

static_assert(Device<Cuda>);

/// A tensor on the CUDA device.
template <class T>
using Array = Tensor<T, Cuda>;

}  // namespace loru::cuda
