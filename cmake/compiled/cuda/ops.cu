// Every op of the CUDA device in float, and copies of what batches are gathered from.
#include <loru/cuda/cuda.cuh>

namespace loru::cuda {

// elementwise
template void fill(Array<float>&, float);
template Array<float> clone(const Array<float>&);
template void copy_into(Array<float>&, const Array<float>&);
template Array<float> to_layout(const Array<float>&, Layout);
template Array<float> add(const Array<float>&, const Array<float>&);
template Array<float> multiply(const Array<float>&, const Array<float>&);
template Array<float> scale(const Array<float>&, float);
template void add_scaled(Array<float>&, float, const Array<float>&);
template Array<float> relu(const Array<float>&);
template Array<float> relu_backward(const Array<float>&, Array<float>);
template Array<float> add_relu(const Array<float>&, const Array<float>&);
template Array<float> gelu(const Array<float>&);
template Array<float> gelu_backward(const Array<float>&, const Array<float>&);
template Array<float> dropout(const Array<float>&, double, const rng::Stream&);

// transfer, gather
template void copy_from_host(Array<float>&, const Tensor<float>&);
template void copy_from_host(Array<double>&, const Tensor<double>&);
template void copy_from_host(Array<std::int32_t>&, const Tensor<std::int32_t>&);
template void copy_from_host(Array<std::uint8_t>&, const Tensor<std::uint8_t>&);
template void copy_to_host(Tensor<float>&, const Array<float>&);
template void gather_images(Array<float>&, const Array<std::uint8_t>&, const Labels&, const Labels&,
                            const Array<double>&);
template void gather_images(Array<float>&, const Array<float>&, const Labels&, const Labels&,
                            const Array<double>&);
template void gather_labels(Labels&, const Labels&, const Labels&);

// reduce
template Array<float> column_sum(const Array<float>&);
template Array<float> sum(const Array<float>&);
template double squared_norm(const Array<float>&);
template bool all_finite(const Array<float>&);

// matmul, bias
template Array<float> matmul(const Array<float>&, const Array<float>&, MatmulOptions);
template void matmul_into(Array<float>&, float, const Array<float>&, const Array<float>&, MatmulOptions,
                          float);
template void add_bias(Array<float>&, const Array<float>&);
template void add_bias_relu(Array<float>&, const Array<float>&);
template BiasGradients<float, Cuda> add_bias_relu_backward(const Array<float>&, Array<float>);

// conv, pool
template Array<float> conv2d(const Array<float>&, const Array<float>&, const ConvOptions&);
template Array<float> conv2d_backward_input(const Array<float>&, const Array<float>&, const Shape&,
                                            const ConvOptions&);
template Array<float> conv2d_backward_weight(const Array<float>&, const Array<float>&, const Shape&,
                                             const ConvOptions&);
template MaxPool<float, Cuda> max_pool2d(const Array<float>&, const PoolOptions&);
template Array<float> max_pool2d_backward(const Array<float>&, const Labels&, const Shape&);
template Array<float> adaptive_avg_pool2d(const Array<float>&, Index, Index);
template Array<float> adaptive_avg_pool2d_backward(const Array<float>&, const Shape&);

// norm
template Moments<float, Cuda> fixed_moments(const Array<float>&, const Array<float>&, double);
template Moments<float, Cuda> batch_moments(const Array<float>&, double);
template Moments<float, Cuda> group_moments(const Array<float>&, Index, double);
template Array<float> batch_norm(const Array<float>&, const Moments<float, Cuda>&, const Array<float>&,
                                 const Array<float>&);
template NormGradients<float, Cuda> batch_norm_backward(Array<float>, const Array<float>&,
                                                        const Moments<float, Cuda>&, const Array<float>&,
                                                        bool);
template Array<float> batch_norm_relu(const Array<float>&, const Moments<float, Cuda>&, const Array<float>&,
                                      const Array<float>&, const Array<float>&);
template NormGradients<float, Cuda> batch_norm_relu_backward(Array<float>, const Array<float>&,
                                                             const Array<float>&, const Moments<float, Cuda>&,
                                                             const Array<float>&, const Array<float>&, bool);
template Array<float> group_norm(const Array<float>&, const Moments<float, Cuda>&, const Array<float>&,
                                 const Array<float>&);
template NormGradients<float, Cuda> group_norm_backward(Array<float>, const Array<float>&,
                                                        const Moments<float, Cuda>&, const Array<float>&);
template Array<float> group_norm_relu(const Array<float>&, const Moments<float, Cuda>&, const Array<float>&,
                                      const Array<float>&, const Array<float>&);
template NormGradients<float, Cuda> group_norm_relu_backward(Array<float>, const Array<float>&,
                                                             const Array<float>&, const Moments<float, Cuda>&,
                                                             const Array<float>&, const Array<float>&);

// softmax
template LossValue<float, Cuda> cross_entropy(const Array<float>&, const Labels&);
template Array<float> cross_entropy_backward(const Array<float>&, const Array<float>&, const Labels&);
template Index count_correct(const Array<float>&, const Labels&);
template LossValue<float, Cuda> mean_squared_error(const Array<float>&, const Array<float>&);
template Array<float> mean_squared_error_backward(const Array<float>&, const Array<float>&);

// update
template void sgd_update(Array<float>&, const Array<float>&, Array<float>&, const SgdStep&);
template void adam_update(Array<float>&, const Array<float>&, Array<float>&, Array<float>&, const AdamStep&);
template void sgd_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const SgdStep&);
template void adam_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const AdamStep&);

// lowrank
template void lowrank_merge(Array<float>&, const Array<float>&, const Array<float>&, double);
template Array<float> lowrank_compose(const Array<float>&, const Array<float>&, const Array<float>&, double);
template LowrankFeatures<float, Cuda> lowrank_forward(const Array<float>&, const Array<float>&,
                                                      const Array<float>&, const Array<float>&, double);
template LowrankGradients<float, Cuda> lowrank_backward(const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&, double,
                                                        LowrankWanted);
template LowrankFeatures<float, Cuda> lowrank_conv2d_forward(const Array<float>&, const Array<float>&,
                                                             const Array<float>&, const Array<float>&, double,
                                                             const ConvOptions&);
template LowrankGradients<float, Cuda> lowrank_conv2d_backward(const Array<float>&, const Array<float>&,
                                                               const Array<float>&, const Array<float>&,
                                                               const Array<float>&, const Array<float>&,
                                                               double, const ConvOptions&, LowrankWanted);

}  // namespace loru::cuda
