#pragma once
// Functions that run on the host and in device code.

#if defined(__CUDACC__)
/// Before a function that a CUDA kernel may call too.
#define LORU_HOST_DEVICE __host__ __device__
#else
#define LORU_HOST_DEVICE
#endif
