#pragma once
// Tensors from the host to a device and back.

#include <algorithm>

#include <loru/ops/types.hpp>

namespace loru {

/// Copies a host tensor into y, which keeps its buffer. Throws ShapeError if shapes or layouts differ.
template <class T>
void copy_from_host(Tensor<T>& y, const Tensor<T>& host) {
  require_same_shape("copy_from_host", y, host);
  std::copy(host.data(), host.data() + host.size(), y.data());
}

/// Copies x into a host tensor, which keeps its buffer. Throws ShapeError if shapes or layouts differ.
template <class T>
void copy_to_host(Tensor<T>& host, const Tensor<T>& x) {
  require_same_shape("copy_to_host", host, x);
  std::copy(x.data(), x.data() + x.size(), host.data());
}

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

}  // namespace loru
