#pragma once
// Stands in for the library's header of this name, ahead of it on the include path: kernels start on the
// emulator.
#include <emulator/emulator.hpp>
#include <emulator/runtime.hpp>

#include <loru/cuda/device/launched.hpp>

namespace loru::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 threads, std::size_t shared_bytes,
            cudaStream_t stream, A&&... args) {
  static_cast<void>(cudaGetLastError());
  if (emulator::runtime::begin_launch(name))
    emulator::launch(name, kernel, grid, threads, shared_bytes, std::forward<A>(args)...);
  check_launched(name, stream);
}

}  // namespace loru::cuda
