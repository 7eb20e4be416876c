// Every kernel with a main loop, compiled for the static checks of check.py. Nothing here runs.
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/forward.cuh>

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

template void lora_backward<InBf16>(const Backward<__nv_bfloat16>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InTf32>(const Backward<float>&, BackwardForm, float*, cudaStream_t);
template void lora_backward<InFloat>(const Backward<float>&, BackwardForm, float*, cudaStream_t);

}  // namespace loru::cuda
