#pragma once
// General matrix product: blocks and packed panels around the micro-kernel.
//
// Element (i, j) of a product is one chain of fused multiply-adds over p within each depth block, and the sum
// of the blocks in order. Its bits depend on the depth alone: not on the other elements, tiles, threads or
// orientation.

#include <algorithm>

#include <loru/core/parallel.hpp>
#include <loru/cpu/gemm/gemm.hpp>
#include <loru/cpu/gemm/transpose.hpp>

namespace loru::inline LORU_ISA::cpu {

/// op(B) (k, n) laid out for the micro-kernel: panels of `width` columns, each k rows of `width` elements,
/// zero-padded.
template <class T>
struct Panels {
  Tensor<T> memory;
  Index k = 0, n = 0, width = 0;

  Index count() const { return (n + width - 1) / width; }
  const T* panel(Index j) const { return memory.data() + j * k * width; }
};

/// Columns of a panel for n columns in all: 1, 2 or full_panel packets.
template <class T>
Index panel_width(Index n) {
  if (n <= lanes<T>) return lanes<T>;
  if (n <= 2 * lanes<T>) return 2 * lanes<T>;
  return full_panel * lanes<T>;
}

/// c[i, j] = alpha·tile[i, j] + beta·c[i, j]; beta = 0 does not read c.
template <class T>
void store_tile(const T* tile, Index tile_stride, Index rows, Index columns, T alpha, T beta, Strided<T> c) {
  for (Index i = 0; i < rows; ++i) {
    const T* from = tile + i * tile_stride;
    T* to = c.data + i * c.row;
    if (beta == T(0))
      for (Index j = 0; j < columns; ++j) to[j * c.col] = alpha * from[j];
    else if (c.col == 1)
      for (Index j = 0; j < columns; ++j) to[j] = alpha * from[j] + beta * to[j];
    else
      for (Index j = 0; j < columns; ++j) to[j * c.col] = alpha * from[j] + beta * to[j * c.col];
  }
}

/// c = alpha · a · b + beta · c for `rows` rows and one panel of V packets of columns, of which the first
/// `columns` count. Rows of b are `b_stride` apart.
template <class T, int V>
void multiply_panel(Index rows, const Depth& k, T alpha, Strided<const T> a, const T* b, Index b_stride,
                    Index columns, T beta, Strided<T> c) {
  constexpr Index height = tile_rows<V>, width = V * lanes<T>;
  if (alpha == T(1) && (beta == T(0) || beta == T(1)) && columns == width && c.col == 1)
    return beta == T(1) ? micro_rows<T, V, true>(rows, k, a, b, b_stride, c.data, c.row)
                        : micro_rows<T, V, false>(rows, k, a, b, b_stride, c.data, c.row);
  alignas(64) T tile[height * width];
  for (Index i = 0; i < rows; i += height, a.data += height * a.row, c.data += height * c.row) {
    const Index count = std::min(height, rows - i);
    micro_rows<T, V, false>(count, k, a, b, b_stride, tile, width);
    store_tile(tile, width, count, columns, alpha, beta, c);
  }
}

/// The same for a panel of 1, 2 or full_panel packets.
template <class T>
void multiply_panel(Index width, Index rows, const Depth& k, T alpha, Strided<const T> a, const T* b,
                    Index b_stride, Index columns, T beta, Strided<T> c) {
  if (width == lanes<T>)
    multiply_panel<T, 1>(rows, k, alpha, a, b, b_stride, columns, beta, c);
  else if (width == 2 * lanes<T>)
    multiply_panel<T, 2>(rows, k, alpha, a, b, b_stride, columns, beta, c);
  else
    multiply_panel<T, full_panel>(rows, k, alpha, a, b, b_stride, columns, beta, c);
}

/// f(p0, p1) for the depth blocks of k, at least once.
template <class F>
void for_each_depth(Index k, F f) {
  for (Index p = 0; p == 0 || p < k; p += depth_block) f(p, std::min(p + depth_block, k));
}

/// Packs b (k, n).
template <std::floating_point T>
Panels<T> pack(Strided<const T> b, Index k, Index n) {
  Panels<T> panels{{}, k, n, panel_width<T>(n)};
  const Index width = panels.width;
  panels.memory = Tensor<T>(Shape{panels.count() * k * width});
  parallel_for(panels.count(), [&](Index panel) {
    const Index first = panel * width, columns = std::min(width, n - first);
    T* out = panels.memory.data() + panel * k * width;
    if (columns < width) std::fill(out, out + k * width, T(0));
    if (b.col == 1) {
      for (Index p = 0; p < k; ++p) {
        const T* row = b.data + p * b.row + first;
        std::copy(row, row + columns, out + p * width);
      }
      return;
    }
    for (Index j = 0; b.row == 1 && j < columns; j += lanes<T>)
      transpose_rows(std::min(columns - j, lanes<T>), k, b.data + (first + j) * b.col, b.col, out + j, width);
    for (Index p = 0; b.row != 1 && p < k; ++p)
      for (Index j = 0; j < columns; ++j) out[p * width + j] = b.data[p * b.row + (first + j) * b.col];
  });
  return panels;
}

/// c = alpha · a · b + beta · c for a packed b; blocks of rows may run on different threads.
template <std::floating_point T>
void multiply(Index m, T alpha, Strided<const T> a, const Panels<T>& b, T beta, Strided<T> c) {
  constexpr Index rows = 168;  // a multiple of the tile heights
  parallel_for((m + rows - 1) / rows, [&](Index block) {
    const Index first = block * rows, count = std::min(rows, m - first);
    for_each_depth(b.k, [&](Index p0, Index p1) {
      const Strided<const T> left{a.data + first * a.row + p0 * a.col, a.row, a.col};
      for (Index j = 0; j < b.count(); ++j)
        multiply_panel<T>(b.width, count, {p1 - p0}, alpha, left, b.panel(j) + p0 * b.width, b.width,
                          std::min(b.width, b.n - j * b.width), p0 == 0 ? beta : T(1),
                          {c.data + first * c.row + j * b.width * c.col, c.row, c.col});
    });
  });
}

/// c = alpha · a · b + beta · c for few rows: reads b (unit column stride) in place, except for a last panel
/// that is not full.
template <std::floating_point T>
void multiply_in_place(Index m, Index n, Index k, T alpha, Strided<const T> a, Strided<const T> b, T beta,
                       Strided<T> c) {
  const Index width = full_panel * lanes<T>, full = n / width;
  parallel_for(full, [&](Index j) {
    for_each_depth(k, [&](Index p0, Index p1) {
      multiply_panel<T, full_panel>(m, {p1 - p0}, alpha, {a.data + p0 * a.col, a.row, a.col},
                                    b.data + p0 * b.row + j * width, b.row, width, p0 == 0 ? beta : T(1),
                                    {c.data + j * width * c.col, c.row, c.col});
    });
  });
  const Index rest = n - full * width;
  if (rest > 0)
    multiply(m, alpha, a, pack<T>({b.data + full * width, b.row, b.col}, k, rest), beta,
             {c.data + full * width * c.col, c.row, c.col});
}

template <std::floating_point T>
void multiply_any(Index m, Index n, Index k, T alpha, Strided<const T> a, Strided<const T> b, T beta,
                  Strided<T> c) {
  if (m == 0 || n == 0) return;
  constexpr Index few = 64, most = 512;
  if (m <= few && b.col == 1) return multiply_in_place(m, n, k, alpha, a, b, beta, c);
  // A packed block of b has at most `most` columns and depth_block rows: it stays in the L2 cache.
  const Index blocks = (n + most - 1) / most, panels = (n + panel_width<T>(n) - 1) / panel_width<T>(n);
  const Index width = (panels + blocks - 1) / blocks * panel_width<T>(n);
  for (Index j = 0; j < n; j += width)
    for_each_depth(k, [&](Index p0, Index p1) {
      const Strided<const T> block{b.data + p0 * b.row + j * b.col, b.row, b.col};
      multiply(m, alpha, {a.data + p0 * a.col, a.row, a.col}, pack(block, p1 - p0, std::min(width, n - j)),
               p0 == 0 ? beta : T(1), {c.data + j * c.col, c.row, c.col});
    });
}

template <std::floating_point T>
void gemm(Op op_a, Op op_b, Index m, Index n, Index k, T alpha, View<const T> a, View<const T> b, T beta,
          View<T> c) {
  const auto strided = [](View<const T> v, Op op) -> Strided<const T> {
    return op == Op::none ? Strided<const T>{v.data, v.stride, 1} : Strided<const T>{v.data, 1, v.stride};
  };
  multiply_any<T>(m, n, k, alpha, strided(a, op_a), strided(b, op_b), beta, {c.data, c.stride, 1});
}

}  // namespace loru::inline LORU_ISA::cpu
