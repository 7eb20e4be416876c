#pragma once
// The register-blocked inner loop of products, on Eigen's portable SIMD packets (AVX-512, AVX, NEON, SSE, scalar).

#include <loru/linalg/eigen.hpp>

namespace loru::linalg {

/// An operand whose element (i, j) is data[i * row + j * col].
template <class T>
struct Strided {
  T* data;
  Index row, col;
};

namespace detail {

template <class T>
using Packet = typename Eigen::internal::packet_traits<T>::type;

/// Elements in one packet.
template <class T>
inline constexpr Index lanes = Eigen::internal::unpacket_traits<Packet<T>>::size;

/// Packets in a full panel of columns, and rows of a tile for a panel of V packets: as many accumulators as the
/// register file holds beside the packets of one row of B.
inline constexpr bool many_registers = EIGEN_ARCH_DEFAULT_NUMBER_OF_REGISTERS >= 32;
inline constexpr int full_panel = many_registers ? 4 : 2;
template <int V>
inline constexpr int tile_rows = many_registers ? (V == 4   ? 7
                                                   : V == 2 ? 12
                                                            : 14)
                                                : (V == 2 ? 6 : 8);

/// acc[i, j] = Σ_p a[i, p]·b[p, j], one fused multiply-add after the other in the order of p, for a tile of R rows
/// and V packets of columns; then out[i * stride + j] = acc. Rows of b are `b_stride` elements apart.
template <class T, int R, int V>
void micro_kernel(Index k, Strided<const T> a, const T* b, Index b_stride, T* out, Index stride) {
  using Eigen::internal::pload1;
  using Eigen::internal::ploadu;
  using Eigen::internal::pmadd;
  using Eigen::internal::pset1;
  using P = Packet<T>;
  P acc[R][V];
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < V; ++v) acc[i][v] = pset1<P>(T(0));
  const T* at = a.data;
  for (Index p = 0; p < k; ++p, at += a.col, b += b_stride) {
    P row[V];
    for (int v = 0; v < V; ++v) row[v] = ploadu<P>(b + v * lanes<T>);
    for (int i = 0; i < R; ++i) {
      const P x = pload1<P>(at + i * a.row);
      for (int v = 0; v < V; ++v) acc[i][v] = pmadd(x, row[v], acc[i][v]);
    }
  }
  for (int i = 0; i < R; ++i)
    for (int v = 0; v < V; ++v) Eigen::internal::pstoreu(out + i * stride + v * lanes<T>, acc[i][v]);
}

/// `rows` of at most tile_rows<V> rows, in pieces of full height, 4, 2 and 1.
template <class T, int V>
void micro_tile(Index rows, Index k, Strided<const T> a, const T* b, Index b_stride, T* out, Index stride) {
  if (rows == tile_rows<V>) return micro_kernel<T, tile_rows<V>, V>(k, a, b, b_stride, out, stride);
  const auto piece = [&]<int R>() {
    for (; rows >= R; rows -= R, a.data += R * a.row, out += R * stride)
      micro_kernel<T, R, V>(k, a, b, b_stride, out, stride);
  };
  piece.template operator()<4>();
  piece.template operator()<2>();
  piece.template operator()<1>();
}

}  // namespace detail
}  // namespace loru::linalg
