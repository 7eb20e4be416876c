// Every op of the CUDA device in float, and copies of what batches are gathered from. kernels.cu has the
// fused kernels that they start.
#include <loru/cuda/cuda.cuh>

namespace loru::cuda {

LORU_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_SEQUENCE_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, float, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, double, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::int32_t, Cuda)
LORU_COPY_OPS(LORU_INSTANTIATE_OP, std::uint8_t, Cuda)

using Many = std::vector<const Array<float>*>;
template void sgd_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const SgdStep&,
                             const Array<double>&);
template void adam_update_all(const std::vector<ParameterUpdate<float, Cuda>>&, const AdamStep&,
                              const Array<double>&);
template Array<double> clip_scale(const Many&, double);
template Index first_not_finite(const Many&);
template BatchNormalised<float, Cuda> batch_normalise(const Array<float>&, const Array<float>&,
                                                      const Array<float>&, double, Array<float>&,
                                                      Array<float>&, double, const Epilogue<Array<float>>&);
template LossValue<float, Cuda> known_cross_entropy(const Array<float>&, const Labels&);
template void put_loss(Array<float>&, Labels&, Index, const Array<float>&);
template void fill(Labels&, std::int32_t);
template void gather_batch(Array<float>&, Labels&, const Array<std::uint8_t>&, const Labels&, const Labels&,
                           const Labels&, const Array<double>&);
template void gather_batch(Array<float>&, Labels&, const Array<float>&, const Labels&, const Labels&,
                           const Labels&, const Array<double>&);
template void upload_all(std::vector<Array<float>>&, const std::vector<Tensor<float>>&);
template void download_all(std::vector<Tensor<float>>&, const std::vector<Array<float>>&);

}  // namespace loru::cuda
