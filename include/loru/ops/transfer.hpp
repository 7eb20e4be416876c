#pragma once
// Tensors from the host to a device and back.

#include <vector>

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

/// Many host tensors on device D, each in its layout. A device may do it in one copy.
template <class D, class T>
std::vector<Tensor<T, D>> to_device(const std::vector<Tensor<T>>& all) {
  std::vector<Tensor<T, D>> there;
  if constexpr (requires { upload_all(there, all); }) {
    upload_all(there, all);
  } else {
    for (const Tensor<T>& host : all) there.push_back(to_device<D>(host));
  }
  return there;
}

/// Many tensors of a device on the host, each in its layout. A device may do it in one copy.
template <class T, class D>
std::vector<Tensor<T>> to_host(const std::vector<Tensor<T, D>>& all) {
  std::vector<Tensor<T>> here;
  if constexpr (requires { download_all(here, all); }) {
    download_all(here, all);
  } else {
    for (const Tensor<T, D>& x : all) here.push_back(to_host(x));
  }
  return here;
}

}  // namespace loru::inline LORU_ISA
