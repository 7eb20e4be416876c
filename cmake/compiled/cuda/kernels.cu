// The fused kernels: passes of one client's layer, of attention and of a cohort's layer, and merges. The
// static checks (tests/cuda/static) look at what becomes of them.
#include <loru/cuda/kernels/backward_cohort.cuh>
#include <loru/cuda/kernels/compiled.cuh>
#include <loru/cuda/kernels/forward_cohort.cuh>
#include <loru/cuda/kernels/merge.cuh>

namespace loru::cuda {

using Bf16 = __nv_bfloat16;

LORU_CUDA_PASSES(, InBf16, Bf16)
LORU_CUDA_PASSES(, InTf32, float)
LORU_CUDA_PASSES(, InFloat, float)

template <class T>
using CohortForward = Forward<T, Cohort<T>>;

template void lora_forward_cohort<InBf16>(ForwardForm, const CohortForward<Bf16>&, int, bool, const Queue&);
template void lora_forward_cohort<InTf32>(ForwardForm, const CohortForward<float>&, int, bool, const Queue&);
template void lora_forward_cohort<InFloat>(ForwardForm, const CohortForward<float>&, int, bool, const Queue&);

template void lora_backward_cohort<InBf16>(const CohortBackward<Bf16>&, float*, cudaStream_t);
template void lora_backward_cohort<InTf32>(const CohortBackward<float>&, float*, cudaStream_t);
template void lora_backward_cohort<InFloat>(const CohortBackward<float>&, float*, cudaStream_t);

template void lora_merge(Matrix<float>, const Client<float>&, Matrix<Bf16>, cudaStream_t);
template void lora_merge(Matrix<float>, const Cohort<float>&, bool, Matrix<Bf16>, cudaStream_t);
template void lora_compose(Matrix<const float>, const Client<float>&, Matrix<float>, cudaStream_t);

}  // namespace loru::cuda
