#pragma once
// Tensors from the host to a device and back.

#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// A host tensor on device D, in its layout. On the host it is the tensor itself, shared.
template <class D, class T>
Tensor<T, D> to_device(const Tensor<T>& host) {
  if constexpr (std::same_as<D, Cpu>) {
    return host;
  } else {
    if (!host) return {};
    Tensor<T, D> x(host.shape(), host.layout());
    copy_from_host(x, host);
    return x;
  }
}

/// A device's tensor on the host, in its layout. A host tensor is returned itself, shared.
template <class T, class D>
Tensor<T> to_host(const Tensor<T, D>& x) {
  if constexpr (std::same_as<D, Cpu>) {
    return x;
  } else {
    if (!x) return {};
    Tensor<T> host(x.shape(), x.layout());
    copy_to_host(host, x);
    return host;
  }
}

}  // namespace loru::inline LORU_ISA
