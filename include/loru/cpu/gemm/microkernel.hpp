#pragma once
// The register-blocked inner loop of products, on SIMD packets (AVX-512, AVX, NEON, SSE, scalar).

#include <loru/cpu/simd.hpp>

namespace loru::inline LORU_ISA::cpu {

/// An operand whose element (i, j) is data[i * row + j * col].
template <class T>
struct Strided {
  T* data;
  Index row, col;
};

/// Packets in a full panel of columns, and rows of a tile for a panel of V packets: as many accumulators as
/// the register file holds beside the packets of one row of B.
inline constexpr int full_panel = many_registers ? 4 : 2;
template <int V>
inline constexpr int tile_rows = many_registers ? (V == 4   ? 7
                                                   : V == 2 ? 12
                                                            : 14)
                                                : (V == 2 ? 6 : 8);

/// The depth of a product: `blocks` stretches of `length`. a moves by a_step from the start of one stretch to
/// the next; rows of b continue from stretch to stretch.
struct Depth {
  Index length, blocks = 1, a_step = 0;
};

/// c[i, j] = (Accumulate ? c[i, j] : 0) + Σ_p a[i, p]·b[p, j] for a tile of R rows and V packets of columns;
/// the sum is one chain of fused multiply-adds in the order of p. Rows of b are `b_stride`, rows of c
/// `c_stride` elements apart. A tile of full height asks for the lines of c that it will write and of the R
/// rows of a that follow, a few in every cache line of the depth. Flattened: a compiler that leaves the
/// unrolled loops as functions keeps the accumulators in memory.
template <class T, int R, int V, bool Accumulate>
[[gnu::flatten]] void micro_kernel(const Depth& k, Strided<const T> a, const T* b, Index b_stride, T* c,
                                   Index c_stride) {
  using P = Packet<T>;
  P acc[R][V];
  unroll<R>([&]<int I>() { unroll<V>([&]<int J>() { acc[I][J] = pset1<P>(T(0)); }); });
  const auto advance = [&](const T* at) {
    P row[V];
    unroll<V>([&]<int J>() { row[J] = ploadu<P>(b + J * lanes<T>); });
    unroll<R>([&]<int I>() {
      const P x = pload1<P>(at + I * a.row);
      unroll<V>([&]<int J>() { acc[I][J] = pmadd(x, row[J], acc[I][J]); });
    });
    b += b_stride;
  };
  for (Index block = 0; block < k.blocks; ++block) {
    const T* at = a.data + block * k.a_step;
    Index left = k.length;
    if constexpr (R == tile_rows<V>) {
      constexpr Index line = 64 / sizeof(T);
      const T *next = at + R * a.row, *to = c;
      for (int rows = block == 0 ? R : 0; left >= line; left -= line, next += line * a.col) {
        unroll<R>([&]<int I>() { __builtin_prefetch(next + I * a.row, 0, 2); });
        if (rows-- > 0) {
          unroll<V>([&]<int J>() { __builtin_prefetch(to + J * lanes<T>, 1); });
          to += c_stride;
        }
        for (Index p = 0; p < line; ++p, at += a.col) advance(at);
      }
    }
    for (; left > 0; --left, at += a.col) advance(at);
  }
  unroll<R>([&]<int I>() {
    unroll<V>([&]<int J>() {
      T* to = c + I * c_stride + J * lanes<T>;
      pstoreu(to, Accumulate ? padd(ploadu<P>(to), acc[I][J]) : acc[I][J]);
    });
  });
}

/// `rows` rows in tiles of full height, 8 where that is less, 4, 2 and 1.
template <class T, int V, bool Accumulate>
void micro_rows(Index rows, const Depth& k, Strided<const T> a, const T* b, Index b_stride, T* c,
                Index c_stride) {
  const auto tiles = [&]<int R>() {
    for (; rows >= R; rows -= R, a.data += R * a.row, c += R * c_stride)
      micro_kernel<T, R, V, Accumulate>(k, a, b, b_stride, c, c_stride);
  };
  tiles.template operator()<tile_rows<V>>();
  if constexpr (tile_rows<V> > 8) tiles.template operator()<8>();
  tiles.template operator()<4>();
  tiles.template operator()<2>();
  tiles.template operator()<1>();
}

}  // namespace loru::inline LORU_ISA::cpu
