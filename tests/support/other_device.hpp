#pragma once
// A second device, as its author would write it: a tag with memory, and every op declared in the tag's own namespace.
// other_device_ops.hpp defines them. OTHER_DEVICE_LACKS_CONV2D leaves one op out.

#include <cstdint>

#include <loru/core/core.hpp>
#include <loru/ops/backend.hpp>

namespace other {

using loru::Index, loru::Layout, loru::Shape;

/// Addresses of this device lie this far above the host's: reading or writing one on the host is a fault.
inline constexpr std::uintptr_t distance = std::uintptr_t{1} << 62;

/// Its memory is the host's, under addresses that only its own ops understand.
struct Device {
  static constexpr const char* name = "other";
  static loru::Buffer allocate(std::size_t bytes) {
    auto* block = new loru::Block;
    void* memory = ::operator new(bytes + 1, std::align_val_t{64});
    block->data = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory) + distance);
    block->capacity = bytes;
    block->release = [](loru::Block* b) noexcept {
      void* mine = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(b->data) - distance);
      ::operator delete(mine, std::align_val_t{64});
      delete b;
    };
    return loru::Buffer{block};
  }
};

template <class T>
using Array = loru::Tensor<T, Device>;
using Labels = loru::Tensor<std::int32_t, Device>;
template <class T>
using Moments = loru::Moments<T, Device>;
template <class T>
using Gradients = loru::NormGradients<T, Device>;
template <class T>
using Loss = loru::LossValue<T, Device>;

template <class T>
void fill(Array<T>& y, T v);
template <class T>
Array<T> clone(const Array<T>& x);
template <class T>
void copy_into(Array<T>& y, const Array<T>& x);
template <class T>
Array<T> to_layout(const Array<T>& x, Layout layout);
template <class T>
Array<T> add(const Array<T>& a, const Array<T>& b);
template <class T>
Array<T> multiply(const Array<T>& a, const Array<T>& b);
template <class T>
Array<T> scale(const Array<T>& x, T c);
template <class T>
void add_scaled(Array<T>& y, T c, const Array<T>& x);
template <class T>
Array<T> relu(const Array<T>& x);
template <class T>
Array<T> relu_backward(const Array<T>& y, const Array<T>& dy);
template <class T>
Array<T> add_relu(const Array<T>& a, const Array<T>& b);
template <class T>
Array<T> gelu(const Array<T>& x);
template <class T>
Array<T> gelu_backward(const Array<T>& x, const Array<T>& dy);
template <class T>
Array<T> dropout(const Array<T>& x, double p, const loru::rng::Stream& stream);

template <class T>
Array<T> column_sum(const Array<T>& x);
template <class T>
Array<T> sum(const Array<T>& x);
template <class T>
double squared_norm(const Array<T>& x);
template <class T>
bool all_finite(const Array<T>& x);

template <class T>
Array<T> matmul(const Array<T>& a, const Array<T>& b, loru::MatmulOptions o);
template <class T>
void matmul_into(Array<T>& c, T alpha, const Array<T>& a, const Array<T>& b, loru::MatmulOptions o, T beta);
template <class T>
void add_bias(Array<T>& x, const Array<T>& bias);
template <class T>
void add_bias_relu(Array<T>& x, const Array<T>& bias);
template <class T>
loru::BiasGradients<T, Device> add_bias_relu_backward(const Array<T>& y, const Array<T>& dy);

#ifndef OTHER_DEVICE_LACKS_CONV2D
template <class T>
Array<T> conv2d(const Array<T>& x, const Array<T>& w, const loru::ConvOptions& o);
#endif
template <class T>
Array<T> conv2d_backward_input(const Array<T>& dy, const Array<T>& w, const Shape& x,
                               const loru::ConvOptions& o);
template <class T>
Array<T> conv2d_backward_weight(const Array<T>& dy, const Array<T>& x, const Shape& w,
                                const loru::ConvOptions& o);

template <class T>
loru::MaxPool<T, Device> max_pool2d(const Array<T>& x, const loru::PoolOptions& o);
template <class T>
Array<T> max_pool2d_backward(const Array<T>& dy, const Labels& winners, const Shape& x);
template <class T>
Array<T> adaptive_avg_pool2d(const Array<T>& x, Index ho, Index wo);
template <class T>
Array<T> adaptive_avg_pool2d_backward(const Array<T>& dy, const Shape& x);

template <class T>
Moments<T> fixed_moments(const Array<T>& mean, const Array<T>& variance, double epsilon);
template <class T>
Moments<T> batch_moments(const Array<T>& x, double epsilon);
template <class T>
Array<T> batch_norm(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta);
template <class T>
Gradients<T> batch_norm_backward(const Array<T>& dy, const Array<T>& x, const Moments<T>& m,
                                 const Array<T>& gamma, bool fixed);
template <class T>
Array<T> batch_norm_relu(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                         const Array<T>& residual);
template <class T>
Gradients<T> batch_norm_relu_backward(const Array<T>& dy, const Array<T>& y, const Array<T>& x,
                                      const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                                      bool fixed);
template <class T>
Moments<T> group_moments(const Array<T>& x, Index groups, double epsilon);
template <class T>
Array<T> group_norm(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta);
template <class T>
Gradients<T> group_norm_backward(const Array<T>& dy, const Array<T>& x, const Moments<T>& m,
                                 const Array<T>& gamma);

template <class T>
Array<T> group_norm_relu(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                         const Array<T>& residual);
template <class T>
Gradients<T> group_norm_relu_backward(const Array<T>& dy, const Array<T>& y, const Array<T>& x,
                                      const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta);

template <class T>
Loss<T> cross_entropy(const Array<T>& z, const Labels& labels);
template <class T>
Array<T> cross_entropy_backward(const Array<T>& dloss, const Array<T>& probabilities, const Labels& labels);
template <class T>
Index count_correct(const Array<T>& z, const Labels& labels);
template <class T>
Loss<T> mean_squared_error(const Array<T>& y, const Array<T>& target);
template <class T>
Array<T> mean_squared_error_backward(const Array<T>& dloss, const Array<T>& difference);

template <class T>
void sgd_update(Array<T>& w, const Array<T>& g, Array<T>& velocity, const loru::SgdStep& o);
template <class T>
void adam_update(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const loru::AdamStep& o);

template <class T>
void lowrank_merge(Array<T>& w, const Array<T>& a, const Array<T>& b, double s);
template <class T>
Array<T> lowrank_compose(const Array<T>& w, const Array<T>& a, const Array<T>& b, double s);
template <class T>
loru::LowrankFeatures<T, Device> lowrank_forward(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                                 const Array<T>& b, double s);
template <class T>
loru::LowrankGradients<T, Device> lowrank_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                                   const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                                   double s, loru::LowrankWanted wanted);
template <class T>
loru::LowrankFeatures<T, Device> lowrank_conv2d_forward(const Array<T>& x, const Array<T>& w,
                                                        const Array<T>& a, const Array<T>& b, double s,
                                                        const loru::ConvOptions& o);
template <class T>
loru::LowrankGradients<T, Device> lowrank_conv2d_backward(const Array<T>& dy, const Array<T>& x,
                                                          const Array<T>& w, const Array<T>& a,
                                                          const Array<T>& b, const Array<T>& low, double s,
                                                          const loru::ConvOptions& o,
                                                          loru::LowrankWanted wanted);

template <class T>
void copy_from_host(Array<T>& y, const loru::Tensor<T>& host);
template <class T>
void copy_to_host(loru::Tensor<T>& host, const Array<T>& x);
template <class T, class Raw>
void gather_images(Array<T>& y, const Array<Raw>& images, const Labels& samples, const Labels& places,
                   const Array<double>& normalisation);
void gather_labels(Labels& y, const Labels& labels, const Labels& samples);

static_assert(loru::Backend<Device, float>);

}  // namespace other
