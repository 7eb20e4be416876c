// Every kernel with a main loop, compiled for the static checks of check.py. Nothing here runs.
#include <loru/cuda/kernels/backward_cohort.cuh>
#include <loru/cuda/kernels/convolution.cuh>
#include <loru/cuda/kernels/forward_cohort.cuh>
#include <loru/cuda/kernels/merge.cuh>

namespace loru::cuda {

template <class T>
using OneMatrix = Matrix<const T>;
template <class T>
using Image = Windows<T, false>;
using Bf16 = __nv_bfloat16;

template void lora_forward<InBf16>(ForwardForm, const OneMatrix<Bf16>&, OneMatrix<Bf16>, const Client<Bf16>&,
                                   const Bf16*, bool, Matrix<Bf16>, Matrix<Bf16>, int, cudaStream_t);
template void lora_forward<InTf32>(ForwardForm, const OneMatrix<float>&, OneMatrix<float>,
                                   const Client<float>&, const float*, bool, Matrix<float>, Matrix<float>,
                                   int, cudaStream_t);
template void lora_forward<InFloat>(ForwardForm, const OneMatrix<float>&, OneMatrix<float>,
                                    const Client<float>&, const float*, bool, Matrix<float>, Matrix<float>,
                                    int, cudaStream_t);

template <class T>
using CohortForward = Forward<T, Cohort<T>>;

template void lora_forward_cohort<InBf16>(ForwardForm, const CohortForward<Bf16>&, int, bool, int,
                                          cudaStream_t);
template void lora_forward_cohort<InTf32>(ForwardForm, const CohortForward<float>&, int, bool, int,
                                          cudaStream_t);
template void lora_forward_cohort<InFloat>(ForwardForm, const CohortForward<float>&, int, bool, int,
                                           cudaStream_t);

template void lora_backward<InBf16>(const Backward<Bf16>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InTf32>(const Backward<float>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InFloat>(const Backward<float>&, BackwardForm, float*, cudaStream_t);

template void lora_backward_cohort<InBf16>(const CohortBackward<Bf16>&, float*, cudaStream_t);
template void lora_backward_cohort<InTf32>(const CohortBackward<float>&, float*, cudaStream_t);
template void lora_backward_cohort<InFloat>(const CohortBackward<float>&, float*, cudaStream_t);

template void lora_forward<InBf16>(ForwardForm, const Image<Bf16>&, OneMatrix<Bf16>, const Client<Bf16>&,
                                   const Bf16*, bool, Matrix<Bf16>, Matrix<Bf16>, int, cudaStream_t);
template void lora_forward<InTf32>(ForwardForm, const Image<float>&, OneMatrix<float>, const Client<float>&,
                                   const float*, bool, Matrix<float>, Matrix<float>, int, cudaStream_t);
template void lora_forward<InFloat>(ForwardForm, const Image<float>&, OneMatrix<float>, const Client<float>&,
                                    const float*, bool, Matrix<float>, Matrix<float>, int, cudaStream_t);

template void lora_conv_backward<InBf16>(const ConvShape&, const Backward<Bf16>&, float*, cudaStream_t);
template void lora_conv_backward<InTf32>(const ConvShape&, const Backward<float>&, float*, cudaStream_t);
template void lora_conv_backward<InFloat>(const ConvShape&, const Backward<float>&, float*, cudaStream_t);

template void lora_merge(Matrix<float>, const Client<float>&, Matrix<Bf16>, cudaStream_t);
template void lora_merge(Matrix<float>, const Cohort<float>&, bool, Matrix<Bf16>, cudaStream_t);
template void lora_compose(Matrix<const float>, const Client<float>&, Matrix<float>, cudaStream_t);

}  // namespace loru::cuda
