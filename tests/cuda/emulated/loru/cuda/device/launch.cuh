#pragma once
// Stands in for the library's header of this name, ahead of it on the include path: kernels start on the
// emulator.
#include <emulator/emulator.hpp>
#include <emulator/runtime.hpp>

#include <loru/cuda/device/launched.hpp>

namespace loru::cuda {

/// Looks for addresses of the host in a parameter of a recorded kernel; what lies between its members may be
/// anything.
template <class P>
void check_recorded([[maybe_unused]] const char* name, [[maybe_unused]] P parameter) {
#if __has_builtin(__builtin_clear_padding)
  __builtin_clear_padding(&parameter);
  emulator::runtime::check_recorded(name, &parameter, sizeof parameter);
#endif
}

template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 threads, std::size_t shared_bytes,
            cudaStream_t stream, A&&... args) {
  static_cast<void>(cudaGetLastError());
  if (emulator::runtime::recording()) {
    const std::tuple<P...> parameters{static_cast<P>(args)...};
    std::apply([&](const P&... p) { (check_recorded(name, p), ...); }, parameters);
    emulator::check_launch(name, grid, threads, shared_bytes);
    emulator::runtime::record([=] {
      std::apply([&](const P&... p) { emulator::launch(name, kernel, grid, threads, shared_bytes, p...); },
                 parameters);
    });
  } else if (emulator::runtime::begin_launch(name)) {
    emulator::launch(name, kernel, grid, threads, shared_bytes, std::forward<A>(args)...);
  }
  check_launched(name, stream);
}

}  // namespace loru::cuda
