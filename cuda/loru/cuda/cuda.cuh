#pragma once
// The CUDA device with the definitions of all its ops. Compile with nvcc.

#include <loru/cuda/cuda.hpp>
#include <loru/cuda/ops/activation.cuh>
#include <loru/cuda/ops/attention.cuh>
#include <loru/cuda/ops/batch_norm.cuh>
#include <loru/cuda/ops/conv.cuh>
#include <loru/cuda/ops/copy.cuh>
#include <loru/cuda/ops/elementwise.cuh>
#include <loru/cuda/ops/embedding.cuh>
#include <loru/cuda/ops/gather.cuh>
#include <loru/cuda/ops/lowrank.cuh>
#include <loru/cuda/ops/lowrank_conv.cuh>
#include <loru/cuda/ops/matmul.cuh>
#include <loru/cuda/ops/moments.cuh>
#include <loru/cuda/ops/norm.cuh>
#include <loru/cuda/ops/pack.cuh>
#include <loru/cuda/ops/pool.cuh>
#include <loru/cuda/ops/reduce.cuh>
#include <loru/cuda/ops/rotary.cuh>
#include <loru/cuda/ops/row_norm.cuh>
#include <loru/cuda/ops/softmax.cuh>
#include <loru/cuda/ops/token_loss.cuh>
#include <loru/cuda/ops/update.cuh>
