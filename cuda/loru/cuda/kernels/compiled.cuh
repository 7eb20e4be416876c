#pragma once
// The passes of a layer for one client and of attention, as a list: a program of several sources compiles
// their kernels in one of them.
#include <loru/cuda/kernels/attention_backward.cuh>
#include <loru/cuda/kernels/attention_forward.cuh>
#include <loru/cuda/kernels/backward.cuh>
#include <loru/cuda/kernels/convolution.cuh>
#include <loru/cuda/kernels/forward.cuh>

/// Explicit instantiations for a Math of elements T, or with EXTERN their declarations.
#define LORU_CUDA_PASSES(EXTERN, Math, T)                                                                    \
  EXTERN template void lora_forward<Math>(ForwardForm, const Matrix<const T>&, Matrix<const T>,              \
                                          const Client<T>&, const T*, bool, Matrix<T>, Matrix<T>,            \
                                          const Queue&);                                                     \
  EXTERN template void lora_forward<Math>(ForwardForm, const Windows<T, false>&, Matrix<const T>,            \
                                          const Client<T>&, const T*, bool, Matrix<T>, Matrix<T>,            \
                                          const Queue&);                                                     \
  EXTERN template void lora_backward<Math>(const Backward<T>&, BackwardForm, float*, const Queue&);          \
  EXTERN template void conv_forward<Math>(const ConvShape&, const T*, Matrix<const T>, Matrix<T>,            \
                                          const Queue&);                                                     \
  EXTERN template void conv_backward_dx<Math>(const ConvShape&, Matrix<const T>, Matrix<const T>,            \
                                              Matrix<const T>, Matrix<const T>, Matrix<T>, const Queue&);    \
  EXTERN template void conv_backward_dW<Math>(const ConvShape&, Matrix<const T>, const T*, Matrix<float>,    \
                                              const Queue&);                                                 \
  EXTERN template void lora_conv_backward<Math>(const ConvShape&, const Backward<T>&, BackwardForm, float*,  \
                                                const Queue&);                                               \
  EXTERN template void fused_attention_forward<Math>(const AttentionForward<T>&, std::size_t, cudaStream_t); \
  EXTERN template void fused_attention_backward<Math>(const AttentionBackward<T>&, std::size_t, cudaStream_t);

#ifdef LORU_CUDA_COMPILED
namespace loru::cuda {

LORU_CUDA_PASSES(extern, InBf16, __nv_bfloat16)
LORU_CUDA_PASSES(extern, InTf32, float)
LORU_CUDA_PASSES(extern, InFloat, float)

}  // namespace loru::cuda
#endif
