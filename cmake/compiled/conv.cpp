#include <loru/cpu/conv/conv.hpp>

namespace loru {

template Tensor<float> conv2d(const Tensor<float>&, const Tensor<float>&, const ConvOptions&);
template Tensor<float> conv2d_backward_input(const Tensor<float>&, const Tensor<float>&, const Shape&,
                                             const ConvOptions&);
template Tensor<float> conv2d_backward_weight(const Tensor<float>&, const Tensor<float>&, const Shape&,
                                              const ConvOptions&);
template Tensor<double> conv2d(const Tensor<double>&, const Tensor<double>&, const ConvOptions&);
template Tensor<double> conv2d_backward_input(const Tensor<double>&, const Tensor<double>&, const Shape&,
                                              const ConvOptions&);
template Tensor<double> conv2d_backward_weight(const Tensor<double>&, const Tensor<double>&, const Shape&,
                                               const ConvOptions&);

}  // namespace loru
