#pragma once
// The ops of the CUDA device, declared. Shapes, formulas and what is thrown are documented at the host's ops of the same
// names (include/loru/ops); loru/cuda/cuda.cuh defines them. Ops queue work on the current stream and return; those
// that give a number of the host's, and cross_entropy for the check of its labels, wait for it.

#include <vector>

#include <loru/cuda/device.hpp>
#include <loru/ops/backend.hpp>

namespace loru::cuda {

using Labels = Array<std::int32_t>;

// elementwise
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
Array<T> relu_backward(const Array<T>& y, Array<T> dy);
template <class T>
Array<T> add_relu(const Array<T>& a, const Array<T>& b);
template <class T>
Array<T> gelu(const Array<T>& x);
template <class T>
Array<T> gelu_backward(const Array<T>& x, const Array<T>& dy);
template <class T>
Array<T> dropout(const Array<T>& x, double p, const rng::Stream& stream);

// transfer
template <class T>
void copy_from_host(Array<T>& y, const Tensor<T>& host);
template <class T>
void copy_to_host(Tensor<T>& host, const Array<T>& x);
template <class T, class Raw>
void gather_images(Array<T>& y, const Array<Raw>& images, const Labels& samples, const Labels& places,
                   const Array<double>& normalisation);
template <class T>
void gather_labels(Array<T>& y, const Array<T>& labels, const Labels& samples);

// reduce
template <class T>
Array<T> column_sum(const Array<T>& x);
template <class T>
Array<T> sum(const Array<T>& x);
template <class T>
double squared_norm(const Array<T>& x);
template <class T>
bool all_finite(const Array<T>& x);

// matmul
template <class T>
Array<T> matmul(const Array<T>& a, const Array<T>& b, MatmulOptions o);
template <class T>
void matmul_into(Array<T>& c, T alpha, const Array<T>& a, const Array<T>& b, MatmulOptions o, T beta);

// bias
template <class T>
void add_bias(Array<T>& x, const Array<T>& bias);
template <class T>
void add_bias_relu(Array<T>& x, const Array<T>& bias);
template <class T>
BiasGradients<T, Cuda> add_bias_relu_backward(const Array<T>& y, Array<T> dy);

// conv
template <class T>
Array<T> conv2d(const Array<T>& x, const Array<T>& w, const ConvOptions& o);
template <class T>
Array<T> conv2d_backward_input(const Array<T>& dy, const Array<T>& w, const Shape& x_shape,
                               const ConvOptions& o);
template <class T>
Array<T> conv2d_backward_weight(const Array<T>& dy, const Array<T>& x, const Shape& w_shape,
                                const ConvOptions& o);

// pool
template <class T>
MaxPool<T, Cuda> max_pool2d(const Array<T>& x, const PoolOptions& o);
template <class T>
Array<T> max_pool2d_backward(const Array<T>& dy, const Labels& winners, const Shape& x_shape);
template <class T>
Array<T> adaptive_avg_pool2d(const Array<T>& x, Index ho, Index wo);
template <class T>
Array<T> adaptive_avg_pool2d_backward(const Array<T>& dy, const Shape& x_shape);

// norm
template <class T>
Moments<T, Cuda> fixed_moments(const Array<T>& mean, const Array<T>& variance, double epsilon);
template <class T>
Moments<T, Cuda> batch_moments(const Array<T>& x, double epsilon);
template <class T>
Moments<T, Cuda> group_moments(const Array<T>& x, Index groups, double epsilon);
template <class T>
Array<T> batch_norm(const Array<T>& x, const Moments<T, Cuda>& m, const Array<T>& gamma,
                    const Array<T>& beta);
template <class T>
NormGradients<T, Cuda> batch_norm_backward(Array<T> dy, const Array<T>& x, const Moments<T, Cuda>& m,
                                           const Array<T>& gamma, bool fixed);
template <class T>
Array<T> batch_norm_relu(const Array<T>& x, const Moments<T, Cuda>& m, const Array<T>& gamma,
                         const Array<T>& beta, const Array<T>& residual);
template <class T>
NormGradients<T, Cuda> batch_norm_relu_backward(Array<T> dy, const Array<T>& y, const Array<T>& x,
                                                const Moments<T, Cuda>& m, const Array<T>& gamma,
                                                const Array<T>& beta, bool fixed);
template <class T>
Array<T> group_norm(const Array<T>& x, const Moments<T, Cuda>& m, const Array<T>& gamma,
                    const Array<T>& beta);
template <class T>
NormGradients<T, Cuda> group_norm_backward(Array<T> dy, const Array<T>& x, const Moments<T, Cuda>& m,
                                           const Array<T>& gamma);
template <class T>
Array<T> group_norm_relu(const Array<T>& x, const Moments<T, Cuda>& m, const Array<T>& gamma,
                         const Array<T>& beta, const Array<T>& residual);
template <class T>
NormGradients<T, Cuda> group_norm_relu_backward(Array<T> dy, const Array<T>& y, const Array<T>& x,
                                                const Moments<T, Cuda>& m, const Array<T>& gamma,
                                                const Array<T>& beta);

// softmax
template <class T>
LossValue<T, Cuda> cross_entropy(const Array<T>& z, const Labels& labels);
template <class T>
Array<T> cross_entropy_backward(const Array<T>& dloss, const Array<T>& probabilities, const Labels& labels);
template <class T>
Index count_correct(const Array<T>& z, const Labels& labels);
template <class T>
LossValue<T, Cuda> mean_squared_error(const Array<T>& y, const Array<T>& target);
template <class T>
Array<T> mean_squared_error_backward(const Array<T>& dloss, const Array<T>& difference);

// update
template <class T>
void sgd_update(Array<T>& w, const Array<T>& g, Array<T>& velocity, const SgdStep& o);
template <class T>
void adam_update(Array<T>& w, const Array<T>& g, Array<T>& m, Array<T>& v, const AdamStep& o);
/// The updates of many parameters, some dozens in a launch; bit for bit what one update each gives.
template <class T>
void sgd_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const SgdStep& o);
/// The same; o.step is each parameter's own.
template <class T>
void adam_update_all(const std::vector<ParameterUpdate<T, Cuda>>& all, const AdamStep& o);

// lowrank
template <class T>
void lowrank_merge(Array<T>& w, const Array<T>& a, const Array<T>& b, double s);
template <class T>
Array<T> lowrank_compose(const Array<T>& w, const Array<T>& a, const Array<T>& b, double s);
template <class T>
LowrankFeatures<T, Cuda> lowrank_forward(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                         const Array<T>& b, double s);
template <class T>
LowrankGradients<T, Cuda> lowrank_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                           const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                           double s, LowrankWanted wanted);
template <class T>
LowrankFeatures<T, Cuda> lowrank_conv2d_forward(const Array<T>& x, const Array<T>& w, const Array<T>& a,
                                                const Array<T>& b, double s, const ConvOptions& o);
template <class T>
LowrankGradients<T, Cuda> lowrank_conv2d_backward(const Array<T>& dy, const Array<T>& x, const Array<T>& w,
                                                  const Array<T>& a, const Array<T>& b, const Array<T>& low,
                                                  double s, const ConvOptions& o, LowrankWanted wanted);

}  // namespace loru::cuda
