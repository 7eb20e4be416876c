#pragma once
// Copies between host tensors: transfer() on the host.

#include <algorithm>

#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

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

}  // namespace loru::inline LORU_ISA
