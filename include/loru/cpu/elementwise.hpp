#pragma once
// Elementwise ops on host tensors, for real and dual scalars.

#include <utility>

#include <loru/core/rng.hpp>
#include <loru/core/scalar.hpp>
#include <loru/cpu/rows.hpp>

namespace loru::inline LORU_ISA {

/// y = v everywhere.
template <Scalar T>
void fill(Tensor<T>& y, T v) {
  std::fill(y.data(), y.data() + y.size(), v);
}

/// A tensor with its own copy of the elements; of a tensor that has a shape and no elements yet, the same.
template <class T>
Tensor<T> clone(const Tensor<T>& x) {
  if (!x) return x;
  Tensor<T> y(x.shape(), x.layout());
  std::copy(x.data(), x.data() + x.size(), y.data());
  return y;
}

/// Copies the elements of x into y, which keeps its buffer. Throws ShapeError if shapes or layouts differ.
template <class T>
void copy_into(Tensor<T>& y, const Tensor<T>& x) {
  require_same_shape("copy_into", y, x);
  std::copy(x.data(), x.data() + x.size(), y.data());
}

/// The same logical tensor in the given layout; shares the buffer where the memory is the same.
template <class T>
Tensor<T> to_layout(const Tensor<T>& x, Layout layout) {
  if (x.layout() == layout || x.rank() != 4) return x;
  if (x.layout_free()) return x.reinterpret(x.shape(), layout);
  Tensor<T> y(x.shape(), layout);
  const Index n = x.dim(0), c = x.dim(1), pixels = x.dim(2) * x.dim(3);
  const bool to_last = layout == Layout::channels_last;
  const T* from = x.data();
  T* to = y.data();
  for (Index i = 0; i < n; ++i, from += c * pixels, to += c * pixels)
    for (Index p = 0; p < pixels; ++p)
      for (Index j = 0; j < c; ++j)
        if (to_last)
          to[p * c + j] = from[j * pixels + p];
        else
          to[j * pixels + p] = from[p * c + j];
  return y;
}

namespace cpu {

/// x in the given layout, in a buffer that nothing else shares: x's own if possible, so that an op may write
/// over it.
template <class T>
Tensor<T> own(Tensor<T> x, Layout layout) {
  if (x.layout() != layout) x = to_layout(x, layout);
  return x.unique() ? x : clone(x);
}

/// y[i] = f(x[i]).
template <Scalar T, class F>
Tensor<T> map(const Tensor<T>& x, F f) {
  Tensor<T> y(x.shape(), x.layout());
  map_elements(x.size(), x.data(), y.data(), [f](T v, Index) { return f(v); });
  return y;
}

/// y[i] = f(a[i], b[i]), in place of a if nothing else shares its buffer.
template <Scalar T, class F>
Tensor<T> map(const char* where, Tensor<T> a, const Tensor<T>& b, F f) {
  require_same_shape(where, a, b);
  Tensor<T> y = a.unique() ? a : Tensor<T>(a.shape(), a.layout());
  const T* right = b.data();
  map_elements(a.size(), std::as_const(a).data(), y.data(),
               [f, right](T v, Index i) { return f(v, right[i]); });
  return y;
}

}  // namespace cpu

/// a + b.
template <Scalar T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) {
  return cpu::map("add", a, b, [](T x, T y) { return x + y; });
}

/// a ⊙ b.
template <Scalar T>
Tensor<T> multiply(const Tensor<T>& a, const Tensor<T>& b) {
  return cpu::map("multiply", a, b, [](T x, T y) { return x * y; });
}

/// c · x.
template <Scalar T>
Tensor<T> scale(const Tensor<T>& x, T c) {
  return cpu::map(x, [c](T v) { return c * v; });
}

/// y += c · x.
template <Scalar T>
void add_scaled(Tensor<T>& y, T c, const Tensor<T>& x) {
  require_same_shape("add_scaled", y, x);
  const T* in = x.data();
  cpu::map_elements(y.size(), std::as_const(y).data(), y.data(),
                    [c, in](T v, Index i) { return v + c * in[i]; });
}

/// max(x, 0).
template <Scalar T>
Tensor<T> relu(const Tensor<T>& x) {
  return cpu::map(x, [](T v) { return scalar::relu(v); });
}

/// dx = dy where y = relu(x) > 0, else 0. Uses dy's buffer if nothing else shares it.
template <Scalar T>
Tensor<T> relu_backward(const Tensor<T>& y, Tensor<T> dy) {
  return cpu::map("relu_backward", std::move(dy), y, [](T d, T v) { return scalar::relu_gradient(v, d); });
}

/// max(a + b, 0).
template <Scalar T>
Tensor<T> add_relu(const Tensor<T>& a, const Tensor<T>& b) {
  return cpu::map("add_relu", a, b, [](T x, T y) { return scalar::relu(x + y); });
}

/// x / (1 − p) where the element's random word is at least p · 2³², else 0: element i reads word i mod 4 of
/// block i / 4 of the stream, in memory order, on every device. The same call on dy is the backward pass.
/// Throws ConfigError unless 0 <= p < 1.
template <Scalar T>
Tensor<T> dropout(const Tensor<T>& x, double p, const rng::Stream& stream) {
  require<ConfigError>(p >= 0.0 && p < 1.0, "dropout: expected 0 <= p < 1, got ", p);
  const auto threshold = static_cast<std::uint64_t>(p * 0x1.0p32);
  const T keep = T(static_cast<Real<T>>(1.0 / (1.0 - p)));
  Tensor<T> y(x.shape(), x.layout());
  constexpr std::size_t together = 16;  // blocks of four words
  for (Index i = 0, n = x.size(); i < n; i += 4 * together) {
    const auto blocks = stream.blocks<together>(static_cast<std::uint32_t>(i / 4));
    std::array<T, 4 * together> factors;
    for (std::size_t w = 0; w < 4; ++w)
      for (std::size_t block = 0; block < together; ++block)
        factors[4 * block + w] = scalar::dropout_factor(blocks.word[w][block], threshold, keep);
    const Index count = std::min<Index>(4 * together, n - i);
    const T* in = x.data() + i;
    T* out = y.data() + i;
    for (Index j = 0; j < count; ++j) out[j] = factors[static_cast<std::size_t>(j)] * in[j];
  }
  return y;
}

}  // namespace loru::inline LORU_ISA
