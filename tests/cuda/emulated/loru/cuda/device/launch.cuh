#pragma once
// Stands in for the library's header of this name, ahead of it on the include path: kernels start on the
// emulator.
#include <emulator/emulator.hpp>

namespace loru::cuda {

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 threads, std::size_t shared_bytes,
            cudaStream_t, A&&... args) {
  emulator::launch(name, kernel, grid, threads, shared_bytes, std::forward<A>(args)...);
}

}  // namespace loru::cuda
