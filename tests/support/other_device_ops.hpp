#pragma once
// The ops of the device of other_device.hpp: each copies its tensors to the host, calls the host's op and
// copies back what that gave or changed. `operations` counts them.

#include <cstring>
#include <tuple>

#include <loru/cpu/cpu.hpp>
#include <loru/ops/ops.hpp>

#include "support/other_device.hpp"

namespace other {

inline std::size_t operations = 0;

/// Where the host finds an address of the device.
template <class T>
T* here(T* address) {
  return address ? reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(address) - distance) : nullptr;
}

template <class E>
void copy_from_host(Array<E>& y, const Tensor<E>& host) {
  require<ShapeError>(y.shape() == host.shape() && y.layout() == host.layout(), "other: copy of ",
                      host.shape(), " to ", y.shape());
  if (host.size() > 0)
    std::memcpy(here(y.data()), host.data(), static_cast<std::size_t>(y.size()) * sizeof(E));
}

template <class E>
void copy_to_host(Tensor<E>& host, const Array<E>& x) {
  require<ShapeError>(x.shape() == host.shape() && x.layout() == host.layout(), "other: copy of ", x.shape(),
                      " to ", host.shape());
  if (x.size() > 0) std::memcpy(host.data(), here(x.data()), static_cast<std::size_t>(x.size()) * sizeof(E));
}

// ---- arguments go down, results come up ----

template <class T>
Tensor<T> down(const Array<T>& x) {
  return to_host(x);
}
template <class T>
Moments<T> down(const Moments<T, Device>& m) {
  return {down(m.mean), down(m.variance), down(m.inverse_deviation)};
}
template <class T>
Epilogue<Tensor<T>> down(const Epilogue<Array<T>>& e) {
  return {e.relu, down(e.residual)};
}
template <class V>
const V& down(const V& value) {
  return value;
}

template <class T>
Array<T> up(const Tensor<T>& x) {
  return to_device<Device>(x);
}
template <class T>
Moments<T, Device> up(const Moments<T>& m) {
  return {up(m.mean), up(m.variance), up(m.inverse_deviation)};
}
template <class T>
NormGradients<T, Device> up(const NormGradients<T>& g) {
  return {up(g.dx), up(g.dgamma), up(g.dbeta), up(g.residual)};
}
template <class T>
BiasGradients<T, Device> up(const BiasGradients<T>& g) {
  return {up(g.dx), up(g.dbias)};
}
template <class T>
LossValue<T, Device> up(const LossValue<T>& l) {
  return {up(l.loss), up(l.kept)};
}
template <class T>
MaxPool<T, Device> up(const MaxPool<T>& p) {
  return {up(p.output), up(p.winners)};
}
template <class T>
LowrankFeatures<T, Device> up(const LowrankFeatures<T>& f) {
  return {up(f.y), up(f.low)};
}
template <class T>
LowrankGradients<T, Device> up(const LowrankGradients<T>& g) {
  return {up(g.dx), up(g.da), up(g.db)};
}
template <class V>
  requires std::is_arithmetic_v<V>
V up(V number) {
  return number;
}

/// An argument of the declared type P as the host's op takes it.
template <class P>
struct Argument {
  P given;
  std::remove_cvref_t<decltype(down(std::declval<P>()))> host = down(given);
  auto&& pass() { return std::move(host); }
  void give_back() {}
};
/// One that the op changes.
template <class T>
struct Argument<Array<T>&> {
  Array<T>& given;
  Tensor<T> host = down(given);
  auto& pass() { return host; }
  void give_back() {
    if (given) copy_from_host(given, host);
  }
};

/// An op of the signature R(P...) by the host's.
template <class Signature, class HostOp>
struct Forward;
template <class R, class... P, class HostOp>
struct Forward<R(P...), HostOp> {
  HostOp op;
  R operator()(P... given) const {
    ++operations;
    std::tuple<Argument<P>...> arguments{Argument<P>{given}...};
    return std::apply(
        [this](auto&... a) -> R {
          if constexpr (std::is_void_v<R>) {
            op(a.pass()...);
            (a.give_back(), ...);
          } else {
            return up(op(a.pass()...));
          }
        },
        arguments);
  }
};

template <class Signature, class HostOp>
Forward<Signature, HostOp> forward(HostOp op) {
  return {op};
}

/// Defines an op of the list.
#define OTHER_FORWARD_OP(name, parameters, arguments, ...)                                   \
  template <class T>                                                                         \
  __VA_ARGS__ name parameters {                                                              \
    const auto op = [](auto&&... a) { return loru::name(std::forward<decltype(a)>(a)...); }; \
    return forward<__VA_ARGS__ parameters>(op) arguments;                                    \
  }

LORU_OPS(OTHER_FORWARD_OP, T, Device)
OTHER_FORWARD_OP(gather_labels, (Array<T> & y, In<T, Device> labels, In<std::int32_t, Device> samples),
                 (y, labels, samples), void)

#undef OTHER_FORWARD_OP

template <class E>
Array<E> to_layout(const Array<E>& x, Layout layout) {
  if (x.layout() == layout || x.rank() != 4) return x;  // shared, as the host does
  if (x.layout_free()) return x.reinterpret(x.shape(), layout);
  ++operations;
  return up(loru::to_layout(down(x), layout));
}

}  // namespace other
