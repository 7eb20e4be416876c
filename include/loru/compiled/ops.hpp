#pragma once
// Ops of the host but convolutions; for one source of a program. products.hpp has these, and the matrix
// product that the ops call.

#include <loru/compiled/begin.hpp>

#include <loru/cpu/cpu.hpp>

// All families of LORU_OPS but LORU_CONV_OPS.
// clang-format off: it takes macros in a row for one statement
#define LORU_COMPILED_OPS_OF(T) \
  LORU_ELEMENTWISE_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_REDUCE_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_MATMUL_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_POOL_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_NORM_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_LOSS_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_UPDATE_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_LOWRANK_OPS(LORU_INSTANTIATE_OP, T, Cpu) \
  LORU_GATHER_OPS(LORU_INSTANTIATE_OP, T, Cpu)
// clang-format on

namespace loru::inline LORU_ISA {

LORU_COMPILED_OPS_OF(float)
LORU_COMPILED_OPS_OF(double)

}  // namespace loru::inline LORU_ISA

#undef LORU_COMPILED_OPS_OF
