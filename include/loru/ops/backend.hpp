#pragma once
// What a device must be able to do. One line per op, so that a missing op is an error that names it.
//
// A device's ops are free functions in the namespace of its tag, found by argument-dependent lookup. They take no
// default arguments, and no overload is generic in both scalar and device.

#include <concepts>
#include <cstdint>
#include <utility>

#include <loru/core/rng.hpp>
#include <loru/ops/types.hpp>

namespace loru::inline LORU_ISA {

/// Device D computes every op on scalars T. Shapes and formulas are documented at the host's ops of the same names.
template <class D, class T>
concept Backend =
    Device<D> &&
    requires(const Tensor<T, D>& x, Tensor<T, D>& y, const Tensor<std::int32_t, D>& labels, T c, Real<T> real,
             double number, Index n, Layout layout, MatmulOptions matmul_options, const ConvOptions& conv,
             const PoolOptions& pool, const Shape& shape, const Moments<T, D>& moments,
             const rng::Stream& stream, const SgdStep& sgd, const AdamStep& adam, LowrankWanted wanted,
             Tensor<T>& host, Tensor<std::int32_t, D>& chosen, const Tensor<std::int32_t>& host_labels,
             Tensor<std::uint8_t, D>& bytes, const Tensor<std::uint8_t>& host_bytes, Tensor<float, D>& floats,
             const Tensor<float>& host_floats, Tensor<double, D>& numbers,
             const Tensor<double>& host_numbers) {
      // elementwise
      { fill(y, c) } -> std::same_as<void>;
      { clone(x) } -> std::same_as<Tensor<T, D>>;
      { copy_into(y, x) } -> std::same_as<void>;
      { to_layout(x, layout) } -> std::same_as<Tensor<T, D>>;
      { add(x, x) } -> std::same_as<Tensor<T, D>>;
      { multiply(x, x) } -> std::same_as<Tensor<T, D>>;
      { scale(x, c) } -> std::same_as<Tensor<T, D>>;
      { add_scaled(y, c, x) } -> std::same_as<void>;
      { relu(x) } -> std::same_as<Tensor<T, D>>;
      { relu_backward(x, x) } -> std::same_as<Tensor<T, D>>;
      { add_relu(x, x) } -> std::same_as<Tensor<T, D>>;
      { gelu(x) } -> std::same_as<Tensor<T, D>>;
      { gelu_backward(x, x) } -> std::same_as<Tensor<T, D>>;
      { dropout(x, number, stream) } -> std::same_as<Tensor<T, D>>;
      // reduce
      { column_sum(x) } -> std::same_as<Tensor<T, D>>;
      { sum(x) } -> std::same_as<Tensor<T, D>>;
      { squared_norm(x) } -> std::same_as<double>;
      { all_finite(x) } -> std::same_as<bool>;
      // matmul
      { matmul(x, x, matmul_options) } -> std::same_as<Tensor<T, D>>;
      { matmul_into(y, real, x, x, matmul_options, real) } -> std::same_as<void>;
      // bias
      { add_bias(y, x) } -> std::same_as<void>;
      { add_bias_relu(y, x) } -> std::same_as<void>;
      { add_bias_relu_backward(x, x) } -> std::same_as<BiasGradients<T, D>>;
      // conv
      { conv2d(x, x, conv) } -> std::same_as<Tensor<T, D>>;
      { conv2d_backward_input(x, x, shape, conv) } -> std::same_as<Tensor<T, D>>;
      { conv2d_backward_weight(x, x, shape, conv) } -> std::same_as<Tensor<T, D>>;
      // pool
      { max_pool2d(x, pool) } -> std::same_as<MaxPool<T, D>>;
      { max_pool2d_backward(x, labels, shape) } -> std::same_as<Tensor<T, D>>;
      { adaptive_avg_pool2d(x, n, n) } -> std::same_as<Tensor<T, D>>;
      { adaptive_avg_pool2d_backward(x, shape) } -> std::same_as<Tensor<T, D>>;
      // norm
      { fixed_moments(x, x, number) } -> std::same_as<Moments<T, D>>;
      { batch_moments(x, number) } -> std::same_as<Moments<T, D>>;
      { batch_norm(x, moments, x, x) } -> std::same_as<Tensor<T, D>>;
      { batch_norm_backward(x, x, moments, x, true) } -> std::same_as<NormGradients<T, D>>;
      { batch_norm_relu(x, moments, x, x, x) } -> std::same_as<Tensor<T, D>>;
      { batch_norm_relu_backward(x, x, x, moments, x, x, true) } -> std::same_as<NormGradients<T, D>>;
      { group_moments(x, n, number) } -> std::same_as<Moments<T, D>>;
      { group_norm(x, moments, x, x) } -> std::same_as<Tensor<T, D>>;
      { group_norm_backward(x, x, moments, x) } -> std::same_as<NormGradients<T, D>>;
      { group_norm_relu(x, moments, x, x, x) } -> std::same_as<Tensor<T, D>>;
      { group_norm_relu_backward(x, x, x, moments, x, x) } -> std::same_as<NormGradients<T, D>>;
      // softmax
      { cross_entropy(x, labels) } -> std::same_as<LossValue<T, D>>;
      { cross_entropy_backward(x, x, labels) } -> std::same_as<Tensor<T, D>>;
      { count_correct(x, labels) } -> std::same_as<Index>;
      { mean_squared_error(x, x) } -> std::same_as<LossValue<T, D>>;
      { mean_squared_error_backward(x, x) } -> std::same_as<Tensor<T, D>>;
      // update
      { sgd_update(y, x, y, sgd) } -> std::same_as<void>;
      { adam_update(y, x, y, y, adam) } -> std::same_as<void>;
      // lowrank
      { lowrank_merge(y, x, x, number) } -> std::same_as<void>;
      { lowrank_compose(x, x, x, number) } -> std::same_as<Tensor<T, D>>;
      { lowrank_forward(x, x, x, x, number) } -> std::same_as<LowrankFeatures<T, D>>;
      { lowrank_backward(x, x, x, x, x, x, number, wanted) } -> std::same_as<LowrankGradients<T, D>>;
      { lowrank_conv2d_forward(x, x, x, x, number, conv) } -> std::same_as<LowrankFeatures<T, D>>;
      {
        lowrank_conv2d_backward(x, x, x, x, x, x, number, conv, wanted)
      } -> std::same_as<LowrankGradients<T, D>>;
      // transfer
      { copy_from_host(y, std::as_const(host)) } -> std::same_as<void>;
      { copy_from_host(chosen, host_labels) } -> std::same_as<void>;
      { copy_from_host(bytes, host_bytes) } -> std::same_as<void>;
      { copy_from_host(floats, host_floats) } -> std::same_as<void>;
      { copy_from_host(numbers, host_numbers) } -> std::same_as<void>;
      { copy_to_host(host, x) } -> std::same_as<void>;
      // gather
      {
        gather_images(y, std::as_const(bytes), labels, labels, std::as_const(numbers))
      } -> std::same_as<void>;
      {
        gather_images(y, std::as_const(floats), labels, labels, std::as_const(numbers))
      } -> std::same_as<void>;
      { gather_labels(chosen, labels, labels) } -> std::same_as<void>;
    };

}  // namespace loru
