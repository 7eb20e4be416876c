#pragma once
// Elements moved as they are: within the device, into another layout, from and to the host.

#include <loru/cuda/device/divisor.cuh>
#include <loru/cuda/ops/map.cuh>

namespace loru::cuda {

namespace detail {

inline void copy_bytes(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (kind != cudaMemcpyDeviceToDevice) require_not_recording("copy");
  if (bytes > 0) LORU_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, current_stream()));
}

template <class T>
std::size_t bytes_of(const Array<T>& x) {
  return static_cast<std::size_t>(x.size()) * sizeof(T);
}

/// The host's copy of a result of one element: waits for the stream.
template <class T>
T read(const Array<T>& x) {
  T value{};
  copy_bytes(&value, x.data(), sizeof(T), cudaMemcpyDeviceToHost);
  synchronize();
  return value;
}

/// The host's copy of a result of some numbers: waits for the stream.
template <class T>
std::vector<T> read_all(const Array<T>& x) {
  std::vector<T> values(static_cast<std::size_t>(x.size()));
  copy_bytes(values.data(), x.data(), bytes_of(x), cudaMemcpyDeviceToHost);
  synchronize();
  return values;
}

template <class T>
struct Fill {
  T* y;
  T v;
  __device__ void operator()(Index i) const { y[i] = v; }
};

/// y[position[1]] = x[0]; then the position moves on by `rows` rows and one step.
template <class T>
struct PutLoss {
  const T* x;
  T* y;
  std::int32_t *position, rows;
  __device__ void operator()(Index) const {
    y[position[1]] = x[0];
    position[0] += rows;
    ++position[1];
  }
};

/// y (images, columns, rows) = x (images, rows, columns) with the last two exchanged.
template <class T>
struct Exchange {
  const T* x;
  T* y;
  Index columns;
  LongDivisor of_image, of_rows;

  Exchange(const T* from, T* to, Index rows, Index width)
      : x{from}, y{to}, columns{width}, of_image{rows * width}, of_rows{rows} {}
  __device__ void operator()(Index i) const {
    const Index at = of_image.remainder(i), column = of_rows.quotient(at);
    y[i] = x[i - at + of_rows.remainder(at, column) * columns + column];
  }
};

/// x in the given layout, in a buffer that nothing else shares: x's own if possible, so that an op may write
/// over it.
template <class T>
Array<T> own(Array<T> x, Layout layout) {
  if (x.layout() != layout) x = to_layout(x, layout);
  return x.unique() ? x : clone(x);
}

template <class T, class D, class E>
void check_transfer(const char* where, const Tensor<T, D>& to, const Tensor<T, E>& from) {
  require<ShapeError>(to.shape() == from.shape(), where, ": expected equal shapes, got ", to.shape(), " and ",
                      from.shape());
  require<ShapeError>(to.layout() == from.layout() || to.layout_free(), where,
                      ": expected equal layouts, got ", to_string(to.layout()), " and ",
                      to_string(from.layout()), " for ", to.shape());
}

}  // namespace detail

template <class T>
void fill(Array<T>& y, T v) {
  detail::for_each("fill", y.size(), detail::Fill<T>{y.data(), v});
}

template <class T>
void put_loss(Array<T>& y, Labels& position, Index rows, const Array<T>& x) {
  require<ShapeError>(x.size() == 1 && position.size() == 2,
                      "put_loss: expected one number and a position of two, got ", x.shape(), " and ",
                      position.shape());
  detail::for_each("put_loss", 1,
                   detail::PutLoss<T>{x.data(), y.data(), position.data(), static_cast<std::int32_t>(rows)});
}

template <class T>
Array<T> clone(const Array<T>& x) {
  if (!x) return {};
  Array<T> y(x.shape(), x.layout());
  detail::copy_bytes(y.data(), x.data(), detail::bytes_of(x), cudaMemcpyDeviceToDevice);
  return y;
}

template <class T>
void copy_into(Array<T>& y, const Array<T>& x) {
  require_same_shape("copy_into", y, x);
  detail::copy_bytes(y.data(), x.data(), detail::bytes_of(x), cudaMemcpyDeviceToDevice);
}

template <class T>
Array<T> to_layout(const Array<T>& x, Layout layout) {
  if (x.layout() == layout || x.rank() != 4) return x;
  if (x.layout_free()) return x.reinterpret(x.shape(), layout);
  Array<T> y(x.shape(), layout);
  const Index c = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const bool to_last = layout == Layout::channels_last;
  detail::for_each("to_layout", y.size(),
                   detail::Exchange<T>(x.data(), y.data(), to_last ? c : pixels, to_last ? pixels : c));
  return y;
}

/// The host's memory may be used again when this returns.
template <class T>
void copy_from_host(Array<T>& y, const Tensor<T>& host) {
  detail::check_transfer("copy_from_host", y, host);
  detail::copy_bytes(y.data(), host.data(), detail::bytes_of(y), cudaMemcpyHostToDevice);
  synchronize();
}

namespace detail {

/// A table of the host for kernels of this stream. Memory of the host's tensors is pageable: it has been read
/// when cudaMemcpyAsync returns, and nothing waits for the stream, unless the device reads such memory by
/// itself.
template <class T>
Array<T> upload(const Tensor<T>& table) {
  Array<T> y(table.shape());
  copy_bytes(y.data(), table.data(), bytes_of(y), cudaMemcpyHostToDevice);
  if (this_device().reads_pageable) synchronize();
  return y;
}

}  // namespace detail

/// The elements are there when this returns.
template <class T>
void copy_to_host(Tensor<T>& host, const Array<T>& x) {
  detail::check_transfer("copy_to_host", host, x);
  detail::copy_bytes(host.data(), x.data(), detail::bytes_of(x), cudaMemcpyDeviceToHost);
  synchronize();
}

}  // namespace loru::cuda
