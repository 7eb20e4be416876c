#pragma once
// The CUDA device, for any compiler: memory, streams, cuBLAS and the declarations of all ops.
// loru/cuda/cuda.cuh, for nvcc, defines the ops.

#include <loru/cuda/blas.hpp>
#include <loru/cuda/device.hpp>
#include <loru/cuda/error.hpp>
#include <loru/cuda/memory.hpp>
#include <loru/cuda/ops.hpp>
#include <loru/cuda/rates.hpp>
#include <loru/cuda/runtime.hpp>
#include <loru/cuda/stream.hpp>
#include <loru/cuda/work.hpp>

static_assert(loru::SequenceBackend<loru::cuda::Cuda, float>);
static_assert(loru::Backend<loru::cuda::Cuda, double>);
