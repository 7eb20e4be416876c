#pragma once
// The ops of the device of other_device.hpp: each copies its tensors to the host, calls the host's op and copies the
// result back. `operations` counts them.

#include <cstring>

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

template <class T>
void copy_from_host(Array<T>& y, const loru::Tensor<T>& host) {
  loru::require<loru::ShapeError>(y.shape() == host.shape() && y.layout() == host.layout(), "other: copy of ",
                                  host.shape(), " to ", y.shape());
  if (host.size() > 0)
    std::memcpy(here(y.data()), host.data(), static_cast<std::size_t>(y.size()) * sizeof(T));
}

template <class T>
void copy_to_host(loru::Tensor<T>& host, const Array<T>& x) {
  loru::require<loru::ShapeError>(x.shape() == host.shape() && x.layout() == host.layout(), "other: copy of ",
                                  x.shape(), " to ", host.shape());
  if (x.size() > 0) std::memcpy(host.data(), here(x.data()), static_cast<std::size_t>(x.size()) * sizeof(T));
}

// ---- arguments go down, results come up ----

template <class T>
loru::Tensor<T> down(const Array<T>& x) {
  return loru::to_host(x);
}
template <class T>
loru::Moments<T> down(const Moments<T>& m) {
  return {down(m.mean), down(m.variance), down(m.inverse_deviation)};
}
template <class V>
const V& down(const V& value) {
  return value;
}

template <class T>
Array<T> up(const loru::Tensor<T>& x) {
  return loru::to_device<Device>(x);
}
template <class T>
Moments<T> up(const loru::Moments<T>& m) {
  return {up(m.mean), up(m.variance), up(m.inverse_deviation)};
}
template <class T>
Gradients<T> up(const loru::NormGradients<T>& g) {
  return {up(g.dx), up(g.dgamma), up(g.dbeta), up(g.residual)};
}
template <class T>
loru::BiasGradients<T, Device> up(const loru::BiasGradients<T>& g) {
  return {up(g.dx), up(g.dbias)};
}
template <class T>
Loss<T> up(const loru::LossValue<T>& l) {
  return {up(l.loss), up(l.kept)};
}
template <class T>
loru::MaxPool<T, Device> up(const loru::MaxPool<T>& p) {
  return {up(p.output), up(p.winners)};
}
template <class T>
loru::LowrankFeatures<T, Device> up(const loru::LowrankFeatures<T>& f) {
  return {up(f.y), up(f.low)};
}
template <class T>
loru::LowrankGradients<T, Device> up(const loru::LowrankGradients<T>& g) {
  return {up(g.dx), up(g.da), up(g.db)};
}

/// What op gives for the arguments on the host.
template <class Op, class... A>
auto there(Op op, const A&... arguments) {
  ++operations;
  return up(op(down(arguments)...));
}

/// The same for a number.
template <class Op, class... A>
auto number(Op op, const A&... arguments) {
  ++operations;
  return op(down(arguments)...);
}

/// op(y, arguments...) for an op that changes y.
template <class T, class Op, class... A>
void change(Array<T>& y, Op op, const A&... arguments) {
  ++operations;
  loru::Tensor<T> host = down(y);
  op(host, down(arguments)...);
  copy_from_host(y, host);
}

/// A function of the host by its name, to be handed on.
#define OTHER_HOST(name) [](auto&&... a) { return loru::name(std::forward<decltype(a)>(a)...); }

template <class T>
void fill(Array<T>& y, T v) {
  change(y, OTHER_HOST(fill), v);
}

template <class T>
Array<T> clone(const Array<T>& x) {
  return there(OTHER_HOST(clone), x);
}

template <class T>
void copy_into(Array<T>& y, const Array<T>& x) {
  change(y, OTHER_HOST(copy_into), x);
}

template <class T>
Array<T> to_layout(const Array<T>& x, Layout layout) {
  if (x.layout() == layout || x.rank() != 4) return x;  // shared, as the host does
  if (x.layout_free()) return x.reinterpret(x.shape(), layout);
  return there(OTHER_HOST(to_layout), x, layout);
}

template <class T>
Array<T> add(const Array<T>& a, const Array<T>& b) {
  return there(OTHER_HOST(add), a, b);
}

template <class T>
Array<T> multiply(const Array<T>& a, const Array<T>& b) {
  return there(OTHER_HOST(multiply), a, b);
}

template <class T>
Array<T> scale(const Array<T>& x, T c) {
  return there(OTHER_HOST(scale), x, c);
}

template <class T>
void add_scaled(Array<T>& y, T c, const Array<T>& x) {
  change(y, OTHER_HOST(add_scaled), c, x);
}

template <class T>
Array<T> relu(const Array<T>& x) {
  return there(OTHER_HOST(relu), x);
}

template <class T>
Array<T> relu_backward(const Array<T>& y, const Array<T>& dy) {
  return there(OTHER_HOST(relu_backward), y, dy);
}

template <class T>
Array<T> add_relu(const Array<T>& a, const Array<T>& b) {
  return there(OTHER_HOST(add_relu), a, b);
}

template <class T>
Array<T> gelu(const Array<T>& x) {
  return there(OTHER_HOST(gelu), x);
}

template <class T>
Array<T> gelu_backward(const Array<T>& x, const Array<T>& dy) {
  return there(OTHER_HOST(gelu_backward), x, dy);
}

template <class T>
Array<T> dropout(const Array<T>& x, double p, const loru::rng::Stream& stream) {
  return there(OTHER_HOST(dropout), x, p, stream);
}

template <class T>
Array<T> column_sum(const Array<T>& x) {
  return there(OTHER_HOST(column_sum), x);
}

template <class T>
Array<T> sum(const Array<T>& x) {
  return there(OTHER_HOST(sum), x);
}

template <class T>
double squared_norm(const Array<T>& x) {
  return number(OTHER_HOST(squared_norm), x);
}

template <class T>
bool all_finite(const Array<T>& x) {
  return number(OTHER_HOST(all_finite), x);
}

template <class T>
Array<T> matmul(const Array<T>& a, const Array<T>& b, loru::MatmulOptions o) {
  return there(OTHER_HOST(matmul), a, b, o);
}

template <class T>
void matmul_into(Array<T>& c, T alpha, const Array<T>& a, const Array<T>& b, loru::MatmulOptions o, T beta) {
  change(c, OTHER_HOST(matmul_into), alpha, a, b, o, beta);
}

template <class T>
void add_bias(Array<T>& x, const Array<T>& bias) {
  change(x, OTHER_HOST(add_bias), bias);
}

template <class T>
void add_bias_relu(Array<T>& x, const Array<T>& bias) {
  change(x, OTHER_HOST(add_bias_relu), bias);
}

template <class T>
loru::BiasGradients<T, Device> add_bias_relu_backward(const Array<T>& y, const Array<T>& dy) {
  return there(OTHER_HOST(add_bias_relu_backward), y, dy);
}

template <class T>
Array<T> conv2d(const Array<T>& x, const Array<T>& w, const loru::ConvOptions& o) {
  return there(OTHER_HOST(conv2d), x, w, o);
}

template <class T>
Array<T> conv2d_backward_input(const Array<T>& dy, const Array<T>& w, const Shape& x,
                               const loru::ConvOptions& o) {
  return there(OTHER_HOST(conv2d_backward_input), dy, w, x, o);
}

template <class T>
Array<T> conv2d_backward_weight(const Array<T>& dy, const Array<T>& x, const Shape& w,
                                const loru::ConvOptions& o) {
  return there(OTHER_HOST(conv2d_backward_weight), dy, x, w, o);
}

template <class T>
loru::MaxPool<T, Device> max_pool2d(const Array<T>& x, const loru::PoolOptions& o) {
  return there(OTHER_HOST(max_pool2d), x, o);
}

template <class T>
Array<T> max_pool2d_backward(const Array<T>& dy, const Labels& winners, const Shape& x) {
  return there(OTHER_HOST(max_pool2d_backward), dy, winners, x);
}

template <class T>
Array<T> adaptive_avg_pool2d(const Array<T>& x, Index ho, Index wo) {
  return there(OTHER_HOST(adaptive_avg_pool2d), x, ho, wo);
}

template <class T>
Array<T> adaptive_avg_pool2d_backward(const Array<T>& dy, const Shape& x) {
  return there(OTHER_HOST(adaptive_avg_pool2d_backward), dy, x);
}

template <class T>
Moments<T> fixed_moments(const Array<T>& mean, const Array<T>& variance, double epsilon) {
  return there(OTHER_HOST(fixed_moments), mean, variance, epsilon);
}

template <class T>
Moments<T> batch_moments(const Array<T>& x, double epsilon) {
  return there(OTHER_HOST(batch_moments), x, epsilon);
}

template <class T>
Array<T> batch_norm(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta) {
  return there(OTHER_HOST(batch_norm), x, m, gamma, beta);
}

template <class T>
Gradients<T> batch_norm_backward(const Array<T>& dy, const Array<T>& x, const Moments<T>& m,
                                 const Array<T>& gamma, bool fixed) {
  return there(OTHER_HOST(batch_norm_backward), dy, x, m, gamma, fixed);
}

template <class T>
Array<T> batch_norm_relu(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                         const Array<T>& residual) {
  return there(OTHER_HOST(batch_norm_relu), x, m, gamma, beta, residual);
}

template <class T>
Gradients<T> batch_norm_relu_backward(const Array<T>& dy, const Array<T>& y, const Array<T>& x,
                                      const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                                      bool fixed) {
  return there(OTHER_HOST(batch_norm_relu_backward), dy, y, x, m, gamma, beta, fixed);
}

template <class T>
Moments<T> group_moments(const Array<T>& x, Index groups, double epsilon) {
  return there(OTHER_HOST(group_moments), x, groups, epsilon);
}

template <class T>
Array<T> group_norm(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta) {
  return there(OTHER_HOST(group_norm), x, m, gamma, beta);
}

template <class T>
Gradients<T> group_norm_backward(const Array<T>& dy, const Array<T>& x, const Moments<T>& m,
                                 const Array<T>& gamma) {
  return there(OTHER_HOST(group_norm_backward), dy, x, m, gamma);
}

template <class T>
Array<T> group_norm_relu(const Array<T>& x, const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta,
                         const Array<T>& residual) {
  return there(OTHER_HOST(group_norm_relu), x, m, gamma, beta, residual);
}

template <class T>
Gradients<T> group_norm_relu_backward(const Array<T>& dy, const Array<T>& y, const Array<T>& x,
                                      const Moments<T>& m, const Array<T>& gamma, const Array<T>& beta) {
  return there(OTHER_HOST(group_norm_relu_backward), dy, y, x, m, gamma, beta);
}

template <class T>
Loss<T> cross_entropy(const Array<T>& z, const Labels& labels) {
  return there(OTHER_HOST(cross_entropy), z, labels);
}

template <class T>
Array<T> cross_entropy_backward(const Array<T>& dloss, const Array<T>& probabilities, const Labels& labels) {
  return there(OTHER_HOST(cross_entropy_backward), dloss, probabilities, labels);
}

template <class T>
Index count_correct(const Array<T>& z, const Labels& labels) {
  return number(OTHER_HOST(count_correct), z, labels);
}

template <class T>
Loss<T> mean_squared_error(const Array<T>& y, const Array<T>& target) {
  return there(OTHER_HOST(mean_squared_error), y, target);
}

template <class T>
Array<T> mean_squared_error_backward(const Array<T>& dloss, const Array<T>& difference) {
  return there(OTHER_HOST(mean_squared_error_backward), dloss, difference);
}

template <class T>
void sgd_update(Array<T>& w, const Array<T>& g, Array<T>& velocity, const loru::SgdStep& o) {
  ++operations;
  loru::Tensor<T> weight = down(w), speed = down(velocity);
  loru::sgd_update(weight, down(g), speed, o);
  copy_from_host(w, weight);
  if (velocity) copy_from_host(velocity, speed);
}

template <class T>
void adam_update(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const loru::AdamStep& o) {
  ++operations;
  loru::Tensor<T> weight = down(w), first = down(m), second = down(v);
  loru::adam_update(weight, down(g), first, second, o);
  copy_from_host(w, weight);
  copy_from_host(m, first);
  copy_from_host(v, second);
}

template <class T>
void lowrank_merge(Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  change(w, OTHER_HOST(lowrank_merge), a, b, s);
}

template <class T>
Array<T> lowrank_compose(const Array<T>& w, const Array<T>& a, const Array<T>& b, double s) {
  return there(OTHER_HOST(lowrank_compose), w, a, b, s);
}

template <class T>
loru::LowrankFeatures<T, Device> lowrank_forward(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                                 const Array<T>& b, double s) {
  return there(OTHER_HOST(lowrank_forward), x, w, a, b, s);
}

template <class T>
loru::LowrankGradients<T, Device> lowrank_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                                   const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                                   double s, loru::LowrankWanted wanted) {
  return there(OTHER_HOST(lowrank_backward), dy, x, w, a, b, low, s, wanted);
}

template <class T>
loru::LowrankFeatures<T, Device> lowrank_conv2d_forward(const Array<T>& x, const Array<T>& w,
                                                        const Array<T>& a, const Array<T>& b, double s,
                                                        const loru::ConvOptions& o) {
  return there(OTHER_HOST(lowrank_conv2d_forward), x, w, a, b, s, o);
}

template <class T>
loru::LowrankGradients<T, Device> lowrank_conv2d_backward(const Array<T>& dy, const Array<T>& x,
                                                          const Array<T>& w, const Array<T>& a,
                                                          const Array<T>& b, const Array<T>& low, double s,
                                                          const loru::ConvOptions& o,
                                                          loru::LowrankWanted wanted) {
  return there(OTHER_HOST(lowrank_conv2d_backward), dy, x, w, a, b, low, s, o, wanted);
}

template <class T, class Raw>
void gather_images(Array<T>& y, const Array<Raw>& images, const Labels& samples, const Labels& places,
                   const Array<double>& normalisation) {
  change(y, OTHER_HOST(gather_images), images, samples, places, normalisation);
}

inline void gather_labels(Labels& y, const Labels& labels, const Labels& samples) {
  change(y, OTHER_HOST(gather_labels), labels, samples);
}

#undef OTHER_HOST

}  // namespace other
