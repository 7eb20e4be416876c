// The ops that normalise, in float: none of their kernels divides by 64-bit numbers.
#include <loru/cuda/ops/norm.cuh>
#include <loru/cuda/ops/row_norm.cuh>

namespace loru::cuda {

LORU_NORM_OPS(LORU_INSTANTIATE_OP, float, Cuda)
template BatchNormalised<float, Cuda> batch_normalise(const Array<float>&, const Array<float>&,
                                                      const Array<float>&, double, Array<float>&,
                                                      Array<float>&, double, const Epilogue<Array<float>>&);
template RowNorm<float, Cuda> layer_norm(const Array<float>&, const Array<float>&, const Array<float>&,
                                         const Array<float>&, double);
template RowNormGradients<float, Cuda> layer_norm_backward(Array<float>, const Array<float>&,
                                                           const RowNorm<float, Cuda>&, const Array<float>&,
                                                           RowNormWanted);
template RowNorm<float, Cuda> rms_norm(const Array<float>&, const Array<float>&, const Array<float>&, double);
template RowNormGradients<float, Cuda> rms_norm_backward(Array<float>, const Array<float>&,
                                                         const RowNorm<float, Cuda>&, const Array<float>&,
                                                         RowNormWanted);

}  // namespace loru::cuda
