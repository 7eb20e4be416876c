#pragma once
// Elementwise ops.

#include <loru/core/philox.hpp>
#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/copy.cuh>

namespace loru::cuda {

namespace detail {

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Multiply {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a * b;
  }
};

template <class T>
struct Scale {
  T c;
  __device__ T operator()(T x) const { return c * x; }
};

/// Rounded once: what a compiler may make of y + c · x, said so that every compiler does.
template <class T>
struct AddScaled {
  T c;
  __device__ T operator()(T y, T x) const {
    using std::fma;
    return fma(c, x, y);
  }
};

struct Relu {
  template <class T>
  __device__ T operator()(T x) const {
    return scalar::relu(x);
  }
};

struct ReluBackward {
  template <class T>
  __device__ T operator()(T dy, T y) const {
    return scalar::relu_gradient(y, dy);
  }
};

struct AddRelu {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return scalar::relu(a + b);
  }
};

struct Gelu {
  template <class T>
  __device__ T operator()(T x) const {
    return scalar::gelu(x);
  }
};

struct GeluBackward {
  template <class T>
  __device__ T operator()(T x, T dy) const {
    return dy * scalar::gelu_slope(x);
  }
};

/// Elements 4·block .. 4·block + 3 of dropout, by the words of one block of the stream.
template <class T>
struct Dropout {
  const T* x;
  T* y;
  Index n;
  std::uint64_t key, threshold;
  std::uint32_t purpose, round, client;
  T keep;
  __device__ void operator()(Index block) const {
    std::uint32_t word[4][1] = {{static_cast<std::uint32_t>(block)}, {purpose}, {round}, {client}};
    rng::philox(word, key);
    for (int w = 0; w < 4 && 4 * block + w < n; ++w)
      y[4 * block + w] = scalar::dropout_factor(word[w][0], threshold, keep) * x[4 * block + w];
  }
};

}  // namespace detail

template <class T>
Array<T> add(const Array<T>& a, const Array<T>& b) {
  return detail::map("add", detail::Add{}, a, b);
}

template <class T>
Array<T> multiply(const Array<T>& a, const Array<T>& b) {
  return detail::map("multiply", detail::Multiply{}, a, b);
}

template <class T>
Array<T> scale(const Array<T>& x, T c) {
  return detail::map("scale", detail::Scale<T>{c}, x);
}

template <class T>
void add_scaled(Array<T>& y, T c, const Array<T>& x) {
  require_same_shape("add_scaled", y, x);
  detail::map_into("add_scaled", detail::AddScaled<T>{c}, y, y, x);
}

template <class T>
Array<T> relu(const Array<T>& x) {
  return detail::map("relu", detail::Relu{}, x);
}

template <class T>
Array<T> relu_backward(const Array<T>& y, Array<T> dy) {
  require_same_shape("relu_backward", dy, y);
  Array<T> dx = dy.unique() ? dy : Array<T>(dy.shape(), dy.layout());
  detail::map_into("relu_backward", detail::ReluBackward{}, dx, dy, y);
  return dx;
}

template <class T>
Array<T> add_relu(const Array<T>& a, const Array<T>& b) {
  return detail::map("add_relu", detail::AddRelu{}, a, b);
}

template <class T>
Array<T> gelu(const Array<T>& x) {
  return detail::map("gelu", detail::Gelu{}, x);
}

template <class T>
Array<T> gelu_backward(const Array<T>& x, const Array<T>& dy) {
  return detail::map("gelu_backward", detail::GeluBackward{}, x, dy);
}

template <class T>
Array<T> dropout(const Array<T>& x, double p, const rng::Stream& stream) {
  detail::require_not_recording("dropout");
  require<ConfigError>(p >= 0.0 && p < 1.0, "dropout: expected 0 <= p < 1, got ", p);
  Array<T> y(x.shape(), x.layout());
  const rng::Words counter = stream.counter(0);
  detail::for_each(
      "dropout", (x.size() + 3) / 4,
      detail::Dropout<T>{x.data(), y.data(), x.size(), stream.key(), static_cast<std::uint64_t>(p * 0x1.0p32),
                         counter[1], counter[2], counter[3], static_cast<T>(1.0 / (1.0 - p))});
  return y;
}

}  // namespace loru::cuda
