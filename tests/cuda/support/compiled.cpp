// The ops of the emulated device that run the low-rank kernels, instantiated once for all tests.
#include <loru/cuda/ops/lowrank_conv.cuh>

namespace loru::cuda {

template LowrankFeatures<float, Cuda> lowrank_forward(const Array<float>&, const Array<float>&,
                                                      const Array<float>&, const Array<float>&, double);
template LowrankGradients<float, Cuda> lowrank_backward(const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&,
                                                        const Array<float>&, const Array<float>&, double,
                                                        LowrankWanted);
template void lowrank_merge(Array<float>&, const Array<float>&, const Array<float>&, double);
template Array<float> lowrank_compose(const Array<float>&, const Array<float>&, const Array<float>&, double);
template LowrankFeatures<float, Cuda> lowrank_conv2d_forward(const Array<float>&, const Array<float>&,
                                                             const Array<float>&, const Array<float>&, double,
                                                             const ConvOptions&);
template LowrankGradients<float, Cuda> lowrank_conv2d_backward(const Array<float>&, const Array<float>&,
                                                               const Array<float>&, const Array<float>&,
                                                               const Array<float>&, const Array<float>&,
                                                               double, const ConvOptions&, LowrankWanted);

// conv
template Array<float> conv2d(const Array<float>&, const Array<float>&, const ConvOptions&);
template Array<float> conv2d_backward_input(const Array<float>&, const Array<float>&, const Shape&,
                                            const ConvOptions&);
template Array<float> conv2d_backward_weight(const Array<float>&, const Array<float>&, const Shape&,
                                             const ConvOptions&);

}  // namespace loru::cuda
