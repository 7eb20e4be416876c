// Every kernel with a main loop, compiled for the static checks of check.py. Nothing here runs.
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/backward_cohort.cuh>
#include <loru/cuda/kernels/forward_cohort.cuh>
#include <loru/cuda/kernels/merge.cuh>

namespace loru::cuda {

template <class T>
using OneMatrix = Matrix<const T>;

template void lora_forward<InBf16>(ForwardForm, OneMatrix<__nv_bfloat16>, OneMatrix<__nv_bfloat16>,
                                   const Client<__nv_bfloat16>&, const __nv_bfloat16*, bool,
                                   Matrix<__nv_bfloat16>, Matrix<__nv_bfloat16>, int, cudaStream_t);
template void lora_forward<InTf32>(ForwardForm, OneMatrix<float>, OneMatrix<float>, const Client<float>&,
                                   const float*, bool, Matrix<float>, Matrix<float>, int, cudaStream_t);
template void lora_forward<InFloat>(ForwardForm, OneMatrix<float>, OneMatrix<float>, const Client<float>&,
                                    const float*, bool, Matrix<float>, Matrix<float>, int, cudaStream_t);

template <class T>
using CohortForward = Forward<T, Cohort<T>>;

template void lora_forward_cohort<InBf16>(ForwardForm, const CohortForward<__nv_bfloat16>&, int, bool, int,
                                          cudaStream_t);
template void lora_forward_cohort<InTf32>(ForwardForm, const CohortForward<float>&, int, bool, int,
                                          cudaStream_t);
template void lora_forward_cohort<InFloat>(ForwardForm, const CohortForward<float>&, int, bool, int,
                                           cudaStream_t);

template void lora_backward<InBf16>(const Backward<__nv_bfloat16>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InTf32>(const Backward<float>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InFloat>(const Backward<float>&, BackwardForm, float*, cudaStream_t);

template void lora_backward_cohort<InBf16>(const CohortBackward<__nv_bfloat16>&, float*, cudaStream_t);
template void lora_backward_cohort<InTf32>(const CohortBackward<float>&, float*, cudaStream_t);
template void lora_backward_cohort<InFloat>(const CohortBackward<float>&, float*, cudaStream_t);

template void lora_merge(Matrix<float>, const Client<float>&, Matrix<__nv_bfloat16>, cudaStream_t);
template void lora_merge(Matrix<float>, const Cohort<float>&, bool, Matrix<__nv_bfloat16>, cudaStream_t);
template void lora_compose(Matrix<const float>, const Client<float>&, Matrix<float>, cudaStream_t);

}  // namespace loru::cuda
