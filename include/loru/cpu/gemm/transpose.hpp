#pragma once
// Transposition in registers.

#include <loru/cpu/gemm/microkernel.hpp>

namespace loru::inline LORU_ISA::cpu {

/// to[j * to_stride + i] = from[i * from_stride + j] for i < rows and zero for rows <= i < lanes<T>, for j <
/// cols: at most lanes<T> rows become columns that fill a packet.
template <class T>
void transpose_rows(Index rows, Index cols, const T* from, Index from_stride, T* to, Index to_stride) {
  constexpr Index side = lanes<T>;
  const Index full = cols / side * side;
  for (Index j = 0; j < full; j += side) {
    PacketSquare<T> square;
    for (Index i = 0; i < side; ++i)
      square.packet[i] = i < rows ? ploadu<Packet<T>>(from + i * from_stride + j) : pset1<Packet<T>>(T(0));
    ptranspose(square);
    for (Index i = 0; i < side; ++i) pstoreu(to + (j + i) * to_stride, square.packet[i]);
  }
  for (Index j = full; j < cols; ++j)
    for (Index i = 0; i < side; ++i) to[j * to_stride + i] = i < rows ? from[i * from_stride + j] : T(0);
}

}  // namespace loru::inline LORU_ISA::cpu
