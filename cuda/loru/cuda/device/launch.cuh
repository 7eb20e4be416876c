#pragma once
// The one way to start a kernel. An emulator on the host puts a header of the same name before this one in
// the include path.

#include <cuda_runtime.h>

#include <cstddef>

#include <loru/cuda/device/launched.hpp>

namespace loru::cuda {

/// Starts kernel(args...) on `stream` with shared_bytes of dynamic shared memory a block. `name` is for
/// reports. Throws CudaError when the launch is refused, and as check_launched does.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 threads, std::size_t shared_bytes,
            cudaStream_t stream, A&&... args) {
  static_cast<void>(cudaGetLastError());  // what others left there is no failure of this kernel
  constexpr std::size_t free_for_all = std::size_t{48} << 10;  // more has to be asked for
  if (shared_bytes > free_for_all)
    static_cast<void>(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                           cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           static_cast<int>(shared_bytes)));  // a refusal is the last error
  kernel<<<grid, threads, shared_bytes, stream>>>(static_cast<P>(args)...);
  check_launched(name, stream);
}

}  // namespace loru::cuda
