#pragma once
// Room cpu: the host as a device like another. Every op of Backend, and the products and convolutions under
// them.

#include <loru/core/compiled.hpp>
#include <loru/cpu/activation.hpp>
#include <loru/cpu/attention/attention.hpp>
#include <loru/cpu/attention/plain.hpp>
#include <loru/cpu/bias.hpp>
#include <loru/cpu/conv/conv.hpp>
#include <loru/cpu/conv/way.hpp>
#include <loru/cpu/conv/winograd/matrix.hpp>
#include <loru/cpu/conv/winograd/scheme.hpp>
#include <loru/cpu/dual.hpp>
#include <loru/cpu/elementwise.hpp>
#include <loru/cpu/embedding.hpp>
#include <loru/cpu/epilogue.hpp>
#include <loru/cpu/gather.hpp>
#include <loru/cpu/gemm/gemm.hpp>
#include <loru/cpu/lanes.hpp>
#include <loru/cpu/lowrank.hpp>
#include <loru/cpu/lowrank_conv.hpp>
#include <loru/cpu/matmul.hpp>
#include <loru/cpu/moments.hpp>
#include <loru/cpu/norm.hpp>
#include <loru/cpu/pool.hpp>
#include <loru/cpu/rates.hpp>
#include <loru/cpu/reduce.hpp>
#include <loru/cpu/rotary.hpp>
#include <loru/cpu/row_norm.hpp>
#include <loru/cpu/rows.hpp>
#include <loru/cpu/softmax.hpp>
#include <loru/cpu/token_loss.hpp>
#include <loru/cpu/transfer.hpp>
#include <loru/cpu/update.hpp>
#include <loru/cpu/work.hpp>
#include <loru/ops/list.hpp>

#ifndef LORU_COMPILED
#include <loru/cpu/activation_bodies.hpp>
#include <loru/cpu/attention/attention_bodies.hpp>
#include <loru/cpu/attention/backward.hpp>
#include <loru/cpu/attention/forward.hpp>
#include <loru/cpu/attention/tile.hpp>
#include <loru/cpu/conv/conv_bodies.hpp>
#include <loru/cpu/conv/lines.hpp>
#include <loru/cpu/conv/windows.hpp>
#include <loru/cpu/conv/winograd/kernel.hpp>
#include <loru/cpu/conv/winograd/tiles.hpp>
#include <loru/cpu/conv/winograd/transform.hpp>
#include <loru/cpu/conv/winograd/winograd.hpp>
#include <loru/cpu/gemm/gemm_bodies.hpp>
#include <loru/cpu/gemm/microkernel.hpp>
#include <loru/cpu/gemm/transpose.hpp>
#include <loru/cpu/packet_math.hpp>
#include <loru/cpu/simd.hpp>
#include <loru/cpu/token_loss_bodies.hpp>
#endif

// The parts of this room that loru::compiled instantiates. With it, only that library has the bodies of
// products and convolutions.
// clang-format off: it takes macros in a row for one statement
#define LORU_COMPILED_OPS(OP) \
  LORU_OPS(OP, float, Cpu) LORU_OPS(OP, double, Cpu) \
  LORU_SEQUENCE_OPS(OP, float, Cpu) LORU_SEQUENCE_OPS(OP, double, Cpu)
// clang-format on

#ifdef LORU_COMPILED
namespace loru::inline LORU_ISA {
LORU_COMPILED_OPS(LORU_EXTERN_OP)
}  // namespace loru::inline LORU_ISA
#endif
