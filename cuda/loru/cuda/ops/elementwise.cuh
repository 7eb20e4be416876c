#pragma once
// Elementwise ops.

#include <cmath>

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

template <class T>
struct AddScaled {
  T c;
  __device__ T operator()(T y, T x) const { return y + c * x; }
};

struct Relu {
  template <class T>
  __device__ T operator()(T x) const {
    return x > T(0) ? x : T(0);
  }
};

/// The gradient dy where the result y is positive.
struct ReluBackward {
  template <class T>
  __device__ T operator()(T dy, T y) const {
    return y > T(0) ? dy : T(0);
  }
};

struct AddRelu {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b > T(0) ? a + b : T(0);
  }
};

struct Gelu {
  template <class T>
  __device__ T operator()(T x) const {
    constexpr T root_half = T(0.707106781186547524400844362104849039);
    return T(0.5) * x * (T(1) + std::erf(x * root_half));
  }
};

struct GeluBackward {
  template <class T>
  __device__ T operator()(T x, T dy) const {
    constexpr T root_half = T(0.707106781186547524400844362104849039);
    constexpr T density = T(0.398942280401432677939946059934381868);  // 1 / √(2π)
    const T phi = density * std::exp(T(-0.5) * x * x);
    return dy * (T(0.5) * (T(1) + std::erf(x * root_half)) + x * phi);
  }
};

/// Elements 4·block .. 4·block + 3 of dropout, by the words of one Philox block (rng::philox).
template <class T>
struct Dropout {
  const T* x;
  T* y;
  Index n;
  std::uint64_t key, threshold;
  std::uint32_t purpose, round, client;
  T keep;
  __device__ void operator()(Index block) const {
    std::uint32_t c[4] = {static_cast<std::uint32_t>(block), purpose, round, client};
    auto k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    for (int i = 0; i < 10; ++i, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
      const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0], p1 = std::uint64_t{0xCD9E8D57u} * c[2];
      c[0] = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
      c[1] = static_cast<std::uint32_t>(p1);
      c[2] = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
      c[3] = static_cast<std::uint32_t>(p0);
    }
    for (int w = 0; w < 4 && 4 * block + w < n; ++w)
      y[4 * block + w] = (c[w] >= threshold ? keep : T(0)) * x[4 * block + w];
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
