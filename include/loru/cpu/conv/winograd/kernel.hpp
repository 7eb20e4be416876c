#pragma once
// Transformed kernels of a filtering, and the way back for their gradients.

#include <loru/cpu/conv/winograd/tiles.hpp>

namespace loru::inline LORU_ISA::cpu::winograd {

/// A kernel seen as (depth, taps, columns): element (d, tap, c) at data[d·row + tap·tap_stride + c·col], with
/// a unit stride along the columns or along the depth.
template <class T>
struct Kernel {
  const T* data;
  Index depth, columns, row, tap_stride, col;

  /// Rows [first, first + count) of the depth.
  Kernel rows(Index first, Index count) const {
    return {data + first * row, count, columns, row, tap_stride, col};
  }
};

/// U = G·w·Gᵀ: for each panel of `width` columns and each of the R·R transformed taps a (depth, width) panel
/// for the micro-kernel.
template <class T>
struct TransformedKernel {
  Index width, slab, taps;
  Tensor<T> memory;

  TransformedKernel(Index tap_count, Index depth, Index panel_width, Index panels)
      : width{panel_width}, slab{depth * width + 16}, taps{tap_count}, memory(Shape{panels * taps * slab}) {}
  T* panel(Index j) { return memory.data() + j * taps * slab; }
};

/// stage[d][tap][c] = element (d0 + d, tap, c0 + c) for lanes<T> of both, zero outside: squares, transposed
/// in registers.
template <int Taps, class T>
void load_transposed(const Kernel<T>& w, Index d0, Index c0, T* stage) {
  constexpr Index side = lanes<T>;
  for (Index tap = 0; tap < Taps; ++tap)
    transpose_rows(std::min(side, w.columns - c0), std::min(side, w.depth - d0),
                   w.data + d0 + tap * w.tap_stride + c0 * w.col, w.col, stage + tap * side, Taps * side);
}

/// Columns [first, first + u.width) of the kernel, transformed to `out`.
template <auto G, class T>
LORU_INLINED_WHOLE void transform_kernel(const Kernel<T>& w, Index first, const TransformedKernel<T>& u,
                                         T* out) {
  using P = Packet<T>;
  constexpr int R = G.rows, K = G.cols, taps = K * K;
  const auto transform = [&](Index d, Index lane, auto load) {
    T* to = out + d * u.width + lane;
    apply_both<G, P>(load, [&]<int I, int J>(P v) { pstoreu(to + (I * R + J) * u.slab, v); });
  };
  alignas(64) T stage[lanes<T> * taps * lanes<T>];
  for (Index lane = 0; lane < u.width; lane += lanes<T>) {
    const Index left = w.columns - first - lane;
    if (left > 0 && w.col == 1) {
      for (Index d = 0; d < w.depth; ++d) {
        const T* from = w.data + d * w.row + first + lane;
        transform(d, lane,
                  [&]<int I, int J>() { return load_channels<T>(from + (I * K + J) * w.tap_stride, left); });
      }
    } else if (left > 0) {
      for (Index d0 = 0; d0 < w.depth; d0 += lanes<T>) {
        load_transposed<taps>(w, d0, first + lane, stage);
        for (Index d = d0; d < std::min(d0 + lanes<T>, w.depth); ++d) {
          const T* from = stage + (d - d0) * taps * lanes<T>;
          transform(d, lane, [&]<int I, int J>() { return pload<P>(from + (I * K + J) * lanes<T>); });
        }
      }
    } else {
      for (Index tap = 0; tap < R * R; ++tap)
        for (Index d = 0; d < w.depth; ++d) pstoreu(out + tap * u.slab + d * u.width + lane, pset1<P>(T(0)));
    }
  }
}

/// dw[row0 + i, tap, column0 + c] = Gᵀ·du·G for `rows` × `columns` entries; du as [transformed
/// tap][row][width].
template <auto G, class T>
LORU_INLINED_WHOLE void finish_gradient(const T* du, Index slab, Index width, Index rows, Index columns,
                                        T* dw, Index cin) {
  constexpr int R = G.rows, K = G.cols;
  constexpr auto back = G.transposed();
  for (Index i = 0; i < rows; ++i)
    for (Index c = 0; c < columns; c += lanes<T>) {
      const T* from = du + i * width + c;
      T* to = dw + i * K * K * cin + c;
      apply_both<back, Packet<T>>(
          [&]<int I, int J>() { return ploadu<Packet<T>>(from + (I * R + J) * slab); },
          [&]<int I, int J>(Packet<T> v) { store_channels<T>(to + (I * K + J) * cin, v, columns - c); });
    }
}

}  // namespace loru::inline LORU_ISA::cpu::winograd
