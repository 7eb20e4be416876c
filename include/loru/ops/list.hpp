#pragma once
// The ops that a device has, one entry each: name, parameters, arguments, result. The concept Backend, the
// declarations of a device's ops and their explicit instantiations are made from this list.
//
// Formulas, shapes and what is thrown are documented at the host's ops of the same names (include/loru/cpu).
// T is the scalar (float, double or a Dual of them), E the type of elements that are moved but not computed
// with, D the device's tag. There are no default arguments, and no overload is generic in both scalar and
// device.

#include <cstdint>

#include <loru/core/rng.hpp>
#include <loru/ops/sequence.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// A tensor that an op reads.
template <class T, class D>
using In = const Tensor<T, D>&;

}  // namespace loru::inline LORU_ISA

/// template <class T> result name(parameters);
#define LORU_DECLARE_OP(name, parameters, arguments, ...) \
  template <class T>                                      \
  __VA_ARGS__ name parameters;

/// Explicit instantiation for a T and a D that are types, and the declaration that there is one.
#define LORU_INSTANTIATE_OP(name, parameters, arguments, ...) template __VA_ARGS__ name parameters;
#define LORU_EXTERN_OP(name, parameters, arguments, ...) extern template __VA_ARGS__ name parameters;

// clang-format off

// OP(name, (parameters), (arguments), result) for the ops on scalars T, family by family.

#define LORU_ELEMENTWISE_OPS(OP, T, D)                                                                       \
  OP(fill, (Tensor<T, D>& y, T v), (y, v), void)                                                             \
  OP(clone, (In<T, D> x), (x), Tensor<T, D>)                                                                 \
  OP(copy_into, (Tensor<T, D>& y, In<T, D> x), (y, x), void)                                                 \
  OP(add, (In<T, D> a, In<T, D> b), (a, b), Tensor<T, D>)                                                    \
  OP(multiply, (In<T, D> a, In<T, D> b), (a, b), Tensor<T, D>)                                               \
  OP(scale, (In<T, D> x, T c), (x, c), Tensor<T, D>)                                                         \
  OP(add_scaled, (Tensor<T, D>& y, T c, In<T, D> x), (y, c, x), void)                                        \
  OP(relu, (In<T, D> x), (x), Tensor<T, D>)                                                                  \
  OP(relu_backward, (In<T, D> y, Tensor<T, D> dy), (y, dy), Tensor<T, D>)                                    \
  OP(add_relu, (In<T, D> a, In<T, D> b), (a, b), Tensor<T, D>)                                               \
  OP(gelu, (In<T, D> x), (x), Tensor<T, D>)                                                                  \
  OP(gelu_backward, (In<T, D> x, In<T, D> dy), (x, dy), Tensor<T, D>)                                        \
  OP(dropout, (In<T, D> x, double p, const rng::Stream& stream), (x, p, stream), Tensor<T, D>)

#define LORU_REDUCE_OPS(OP, T, D)                                                                            \
  OP(column_sum, (In<T, D> x), (x), Tensor<T, D>)                                                            \
  OP(sum, (In<T, D> x), (x), Tensor<T, D>)                                                                   \
  OP(squared_norm, (In<T, D> x), (x), double)                                                                \
  OP(all_finite, (In<T, D> x), (x), bool)

#define LORU_MATMUL_OPS(OP, T, D)                                                                            \
  OP(matmul, (In<T, D> a, In<T, D> b, MatmulOptions o), (a, b, o), Tensor<T, D>)                             \
  OP(matmul_into, (Tensor<T, D>& c, Real<T> alpha, In<T, D> a, In<T, D> b, MatmulOptions o, Real<T> beta),   \
     (c, alpha, a, b, o, beta), void)                                                                        \
  OP(add_bias, (Tensor<T, D>& x, In<T, D> bias, const Epilogue<Tensor<T, D>>& after), (x, bias, after),      \
     void)                                                                                                   \
  OP(add_bias_backward, (In<T, D> y, Tensor<T, D> dy), (y, dy), BiasGradients<T, D>)

#define LORU_CONV_OPS(OP, T, D)                                                                              \
  OP(conv2d, (In<T, D> x, In<T, D> w, const ConvOptions& o), (x, w, o), Tensor<T, D>)                        \
  OP(conv2d_backward_input, (In<T, D> dy, In<T, D> w, const Shape& x_shape, const ConvOptions& o),           \
     (dy, w, x_shape, o), Tensor<T, D>)                                                                      \
  OP(conv2d_backward_weight, (In<T, D> dy, In<T, D> x, const Shape& w_shape, const ConvOptions& o),          \
     (dy, x, w_shape, o), Tensor<T, D>)

#define LORU_POOL_OPS(OP, T, D)                                                                              \
  OP(max_pool2d, (In<T, D> x, const PoolOptions& o), (x, o), MaxPool<T, D>)                                  \
  OP(max_pool2d_backward, (In<T, D> dy, In<std::int32_t, D> winners, const Shape& x_shape),                  \
     (dy, winners, x_shape), Tensor<T, D>)                                                                   \
  OP(adaptive_avg_pool2d, (In<T, D> x, Index ho, Index wo), (x, ho, wo), Tensor<T, D>)                       \
  OP(adaptive_avg_pool2d_backward, (In<T, D> dy, const Shape& x_shape), (dy, x_shape), Tensor<T, D>)

#define LORU_NORM_OPS(OP, T, D)                                                                              \
  OP(fixed_moments, (In<T, D> mean, In<T, D> variance, double epsilon), (mean, variance, epsilon),           \
     Moments<T, D>)                                                                                          \
  OP(batch_moments, (In<T, D> x, double epsilon), (x, epsilon), Moments<T, D>)                               \
  OP(group_moments, (In<T, D> x, Index groups, double epsilon), (x, groups, epsilon), Moments<T, D>)         \
  OP(normalise, (In<T, D> x, const Moments<T, D>& moments, In<T, D> gamma, In<T, D> beta,                    \
                 const Epilogue<Tensor<T, D>>& after),                                                       \
     (x, moments, gamma, beta, after), Tensor<T, D>)                                                         \
  OP(normalise_backward, (Tensor<T, D> dy, In<T, D> y, In<T, D> x, const Moments<T, D>& moments,             \
                          In<T, D> gamma, In<T, D> beta, Gate gate, bool fixed),                             \
     (dy, y, x, moments, gamma, beta, gate, fixed), NormGradients<T, D>)

#define LORU_LOSS_OPS(OP, T, D)                                                                              \
  OP(cross_entropy, (In<T, D> z, In<std::int32_t, D> labels), (z, labels), LossValue<T, D>)                  \
  OP(cross_entropy_backward, (In<T, D> dloss, In<T, D> probabilities, In<std::int32_t, D> labels),           \
     (dloss, probabilities, labels), Tensor<T, D>)                                                           \
  OP(count_correct, (In<T, D> z, In<std::int32_t, D> labels), (z, labels), Index)                            \
  OP(mean_squared_error, (In<T, D> y, In<T, D> target), (y, target), LossValue<T, D>)                        \
  OP(mean_squared_error_backward, (In<T, D> dloss, In<T, D> difference), (dloss, difference), Tensor<T, D>)  \
  OP(binary_cross_entropy, (In<T, D> z, In<T, D> target), (z, target), LossValue<T, D>)                      \
  OP(binary_cross_entropy_backward, (In<T, D> dloss, In<T, D> difference), (dloss, difference), Tensor<T, D>)

#define LORU_UPDATE_OPS(OP, T, D)                                                                            \
  OP(sgd_update, (Tensor<T, D>& w, In<T, D> g, Tensor<T, D>& velocity, const SgdStep& o),                    \
     (w, g, velocity, o), void)                                                                              \
  OP(adam_update, (Tensor<T, D>& w, In<T, D> g, Tensor<T, D>& m, Tensor<T, D>& v, const AdamStep& o),        \
     (w, g, m, v, o), void)

#define LORU_LOWRANK_OPS(OP, T, D)                                                                           \
  OP(lowrank_merge, (Tensor<T, D>& w, In<T, D> a, In<T, D> b, double s), (w, a, b, s), void)                 \
  OP(lowrank_compose, (In<T, D> w, In<T, D> a, In<T, D> b, double s), (w, a, b, s), Tensor<T, D>)            \
  OP(lowrank_forward, (In<T, D> x, In<T, D> w, In<T, D> a, In<T, D> b, double s), (x, w, a, b, s),           \
     LowrankFeatures<T, D>)                                                                                  \
  OP(lowrank_backward, (In<T, D> dy, In<T, D> x, In<T, D> w, In<T, D> a, In<T, D> b, In<T, D> low, double s, \
                        LowrankWanted wanted),                                                               \
     (dy, x, w, a, b, low, s, wanted), LowrankGradients<T, D>)                                               \
  OP(lowrank_conv2d_forward, (In<T, D> x, In<T, D> w, In<T, D> a, In<T, D> b, double s,                      \
                              const ConvOptions& o),                                                         \
     (x, w, a, b, s, o), LowrankFeatures<T, D>)                                                              \
  OP(lowrank_conv2d_backward, (In<T, D> dy, In<T, D> x, In<T, D> w, In<T, D> a, In<T, D> b, In<T, D> low,    \
                               double s, const ConvOptions& o, LowrankWanted wanted),                        \
     (dy, x, w, a, b, low, s, o, wanted), LowrankGradients<T, D>)

#define LORU_GATHER_OPS(OP, T, D)                                                                            \
  OP(gather_images, (Tensor<T, D>& y, In<std::uint8_t, D> images, In<std::int32_t, D> samples,               \
                     In<std::int32_t, D> places, In<double, D> normalisation),                               \
     (y, images, samples, places, normalisation), void)                                                      \
  OP(gather_images, (Tensor<T, D>& y, In<float, D> images, In<std::int32_t, D> samples,                      \
                     In<std::int32_t, D> places, In<double, D> normalisation),                               \
     (y, images, samples, places, normalisation), void)

/// All of them.
#define LORU_OPS(OP, T, D)                                                                                   \
  LORU_ELEMENTWISE_OPS(OP, T, D) LORU_REDUCE_OPS(OP, T, D) LORU_MATMUL_OPS(OP, T, D)                         \
  LORU_CONV_OPS(OP, T, D) LORU_POOL_OPS(OP, T, D) LORU_NORM_OPS(OP, T, D)                                    \
  LORU_LOSS_OPS(OP, T, D) LORU_UPDATE_OPS(OP, T, D) LORU_LOWRANK_OPS(OP, T, D)                               \
  LORU_GATHER_OPS(OP, T, D)

/// The ops on sequences of rows: those of transformers. A device may have all others without them.
#define LORU_SEQUENCE_OPS(OP, T, D)                                                                          \
  OP(embedding, (In<T, D> table, In<std::int32_t, D> rows), (table, rows), Tensor<T, D>)                     \
  OP(embedding_backward, (In<T, D> dy, In<std::int32_t, D> rows, const Shape& table), (dy, rows, table),     \
     Tensor<T, D>)                                                                                           \
  OP(layer_norm, (In<T, D> x, In<T, D> residual, In<T, D> gamma, In<T, D> beta, double epsilon),             \
     (x, residual, gamma, beta, epsilon), RowNorm<T, D>)                                                     \
  OP(layer_norm_backward, (Tensor<T, D> dy, In<T, D> dsum, const RowNorm<T, D>& kept, In<T, D> gamma,        \
                           RowNormWanted wanted),                                                            \
     (dy, dsum, kept, gamma, wanted), RowNormGradients<T, D>)                                                \
  OP(rms_norm, (In<T, D> x, In<T, D> residual, In<T, D> gamma, double epsilon),                              \
     (x, residual, gamma, epsilon), RowNorm<T, D>)                                                           \
  OP(rms_norm_backward, (Tensor<T, D> dy, In<T, D> dsum, const RowNorm<T, D>& kept, In<T, D> gamma,          \
                         RowNormWanted wanted),                                                              \
     (dy, dsum, kept, gamma, wanted), RowNormGradients<T, D>)                                                \
  OP(tanh, (In<T, D> x), (x), Tensor<T, D>)                                                                  \
  OP(tanh_backward, (In<T, D> y, Tensor<T, D> dy), (y, dy), Tensor<T, D>)                                    \
  OP(swiglu, (In<T, D> gate, In<T, D> up), (gate, up), Tensor<T, D>)                                         \
  OP(swiglu_backward, (In<T, D> gate, In<T, D> up, In<T, D> dy), (gate, up, dy), SwigluGradients<T, D>)      \
  OP(rotary, (Tensor<T, D> x, In<T, D> table, const Sequences& sequences, bool inverse),                     \
     (x, table, sequences, inverse), Tensor<T, D>)                                                           \
  OP(attention, (In<T, D> q, In<T, D> k, In<T, D> v, const Sequences& queries, const Sequences& keys,        \
                 const AttentionOptions& o),                                                                 \
     (q, k, v, queries, keys, o), AttentionFeatures<T, D>)                                                   \
  OP(attention_backward, (In<T, D> dy, In<T, D> q, In<T, D> k, In<T, D> v,                                   \
                          const AttentionFeatures<T, D>& kept, const Sequences& queries,                     \
                          const Sequences& keys, const AttentionOptions& o, AttentionWanted wanted),         \
     (dy, q, k, v, kept, queries, keys, o, wanted), AttentionGradients<T, D>)                                \
  OP(token_loss, (In<T, D> h, In<T, D> w, In<std::int32_t, D> targets, bool slope), (h, w, targets, slope),  \
     TokenLoss<T, D>)                                                                                        \
  OP(token_loss_backward, (In<T, D> dvalues, In<T, D> h, In<T, D> w, In<std::int32_t, D> targets,            \
                           const TokenLoss<T, D>& kept, bool dw),                                            \
     (dvalues, h, w, targets, kept, dw), TokenLossGradients<T, D>)

/// The same for every op that moves elements E: scalars, std::int32_t, std::uint8_t, float and double.
#define LORU_COPY_OPS(OP, E, D)                                                                              \
  OP(to_layout, (In<E, D> x, Layout layout), (x, layout), Tensor<E, D>)                                      \
  OP(copy_from_host, (Tensor<E, D>& y, const Tensor<E>& host), (y, host), void)                              \
  OP(copy_to_host, (Tensor<E>& host, In<E, D> x), (host, x), void)                                           \
  OP(gather_labels, (Tensor<E, D>& y, In<E, D> labels, In<std::int32_t, D> samples), (y, labels, samples),   \
     void)

// clang-format on
