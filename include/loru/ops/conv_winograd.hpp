#pragma once
// Convolutions of stride 1 with 3×3 and 5×5 kernels by Winograd's minimal filtering: 36 multiplications for 4×4 (3×3) or
// 2×2 (5×5) outputs of a channel, where the direct form takes 144 or 100.
//
// Images are cut into overlapping 6×6 tiles. Transformed tiles stand as [point][panel of channels][tile][channel], so
// that each of the 36 points is a matrix product on the micro-kernel, forward and for both gradients:
//   y = Aᵀ·[U ⊙ V]·A,   U = G·w·Gᵀ,  V = Bᵀ·x·B
//   dw = Gᵀ·[Σ_tiles (A·dy·Aᵀ) ⊙ V]·G,   dx = the same filtering of dy by the reversed kernel.

#include <vector>

#include <loru/linalg/gemm.hpp>
#include <loru/ops/conv_windows.hpp>
#include <loru/ops/winograd_transform.hpp>

namespace loru::detail::winograd {

using linalg::detail::lanes;
using linalg::detail::panel_width;
template <class T>
using Packet = linalg::detail::Packet<T>;

/// An image batch in channels-last memory, cut into tiles of which neighbours are `step` pixels apart; the first begins
/// `margin` pixels outside the image.
struct Tiling {
  Index n, h, w, channels, margin, step, rows, cols;
  Index tiles() const { return n * rows * cols; }
};

/// Tiles of transformed values: element (point, channel, tile) of up to `capacity` tiles.
template <class T>
struct TileBlock {
  Index channels, capacity, width, panels, slab;
  Tensor<T> memory;

  TileBlock(Index channel_count, Index tile_count)
      : channels{channel_count},
        capacity{tile_count},
        width{panel_width<T>(channel_count)},
        panels{(channel_count + width - 1) / width},
        slab{panels * capacity * width + 16},  // slabs of points do not fall onto the same cache sets
        memory(Shape{36 * slab}) {}

  T* panel(Index point, Index panel) { return memory.data() + point * slab + panel * capacity * width; }
};

/// Up to lanes<T> channels from `from`, zero beyond `count`.
template <class T>
Packet<T> load_channels(const T* from, Index count) {
  if (count >= lanes<T>) return Eigen::internal::ploadu<Packet<T>>(from);
  alignas(64) T part[lanes<T>] = {};
  for (Index i = 0; i < count; ++i) part[i] = from[i];
  return Eigen::internal::pload<Packet<T>>(part);
}

template <class T>
void store_channels(T* to, Packet<T> value, Index count) {
  if (count >= lanes<T>) return Eigen::internal::pstoreu(to, value);
  alignas(64) T part[lanes<T>];
  Eigen::internal::pstore(part, value);
  for (Index i = 0; i < count; ++i) to[i] = part[i];
}

/// Reads the S×S pixels of each tile [first, last), zero outside the image, and keeps M·tile·Mᵀ.
template <auto M, int S, class T>
void gather_tiles(const Tiling& t, const T* image, Index first, Index last, TileBlock<T>& out) {
  const Packet<T> zero = Eigen::internal::pset1<Packet<T>>(T(0));
  for (Index tile = first; tile < last; ++tile) {
    const Index n = tile / (t.rows * t.cols);
    const Index y0 = tile / t.cols % t.rows * t.step - t.margin, x0 = tile % t.cols * t.step - t.margin;
    for (Index panel = 0; panel < out.panels; ++panel)
      for (Index lane = 0; lane < out.width; lane += lanes<T>) {
        const Index channel = panel * out.width + lane, left = t.channels - channel;
        Packet<T> in[S][S], transformed[points][points];
        for (Index i = 0; i < S; ++i)
          for (Index j = 0; j < S; ++j) {
            const Index y = y0 + i, x = x0 + j;
            const bool inside = left > 0 && y >= 0 && y < t.h && x >= 0 && x < t.w;
            in[i][j] =
                inside ? load_channels(image + ((n * t.h + y) * t.w + x) * t.channels + channel, left) : zero;
          }
        apply_both<M>(in, transformed);
        for (Index p = 0; p < 36; ++p)
          Eigen::internal::pstoreu(out.panel(p, panel) + (tile - first) * out.width + lane,
                                   transformed[p / points][p % points]);
      }
  }
}

/// Writes M·tile·Mᵀ of each tile to its step×step pixels of the image, as far as they lie inside.
template <auto M, int S, class T>
void scatter_tiles(TileBlock<T>& block, const Tiling& t, Index first, Index last, T* image) {
  for (Index tile = first; tile < last; ++tile) {
    const Index n = tile / (t.rows * t.cols), y0 = tile / t.cols % t.rows * t.step,
                x0 = tile % t.cols * t.step;
    for (Index panel = 0; panel < block.panels; ++panel)
      for (Index lane = 0; lane < block.width; lane += lanes<T>) {
        const Index channel = panel * block.width + lane, left = t.channels - channel;
        if (left <= 0) break;
        Packet<T> in[points][points], out[S][S];
        for (Index p = 0; p < 36; ++p)
          in[p / points][p % points] =
              Eigen::internal::ploadu<Packet<T>>(block.panel(p, panel) + (tile - first) * block.width + lane);
        apply_both<M>(in, out);
        for (Index i = 0; i < std::min<Index>(S, t.h - y0); ++i)
          for (Index j = 0; j < std::min<Index>(S, t.w - x0); ++j)
            store_channels(image + ((n * t.h + y0 + i) * t.w + x0 + j) * t.channels + channel, out[i][j],
                           left);
      }
  }
}

/// A kernel seen as taps of a (depth, columns) matrix: element (d, tap, c) at data[d·row + tap·tap_stride + c].
template <class T>
struct Kernel {
  const T* data;
  Index depth, columns, row, tap_stride;
};

/// U = G·w·Gᵀ of columns [first, first + width): for every point a panel (depth, width) for the micro-kernel.
template <int K, class T>
void transform_kernel(const Kernel<T>& w, Index first, Index width, T* out, Index point_stride) {
  constexpr Matrix<6, K> g = filter<K>;  // nvcc 13 refuses filter<K> itself as an argument
  for (Index d = 0; d < w.depth; ++d)
    for (Index lane = 0; lane < width; lane += lanes<T>) {
      const Index left = w.columns - first - lane;
      Packet<T> in[K][K], transformed[points][points];
      for (Index tap = 0; tap < K * K; ++tap)
        in[tap / K][tap % K] =
            left > 0 ? load_channels(w.data + d * w.row + tap * w.tap_stride + first + lane, left)
                     : Eigen::internal::pset1<Packet<T>>(T(0));
      apply_both<g>(in, transformed);
      for (Index p = 0; p < 36; ++p)
        Eigen::internal::pstoreu(out + p * point_stride + d * width + lane,
                                 transformed[p / points][p % points]);
    }
}

/// Panel j of the products of all points: out = Σ over panels of channels of in · U.
template <class T>
void multiply_points(TileBlock<T>& in, Index tiles, const T* u, Index point_stride, TileBlock<T>& out,
                     Index j) {
  for (Index p = 0; p < 36; ++p)
    for (Index panel = 0; panel < in.panels; ++panel) {
      const Index depth = std::min(in.width, in.channels - panel * in.width);
      linalg::detail::multiply_panel<T>(out.width, 0, tiles, 0, depth, T(1),
                                        {in.panel(p, panel), in.width, 1},
                                        u + p * point_stride + panel * in.width * out.width, out.width,
                                        out.width, panel == 0 ? T(0) : T(1), {out.panel(p, j), out.width, 1});
    }
}

/// Tiles in a block: eight tile heights of the micro-kernel.
inline constexpr Index block_tiles = 56;

/// The filtering of `in` by the kernel, written to `out`. With one block of tiles the transformed kernel is made panel by
/// panel and used at once; with more it is kept.
template <int K, class T>
void filter_images(const Tiling& in, const T* x, const Kernel<T>& w, const Tiling& out, T* y) {
  const Index width = panel_width<T>(w.columns), panels = (w.columns + width - 1) / width;
  const Index blocks = (in.tiles() + block_tiles - 1) / block_tiles, kept = blocks > 1 ? panels : 1;
  const Index point_stride = w.depth * width + 16;
  Tensor<T> u(Shape{kept * 36 * point_stride});
  const auto panel_memory = [&](Index j) { return u.data() + (kept > 1 ? j : 0) * 36 * point_stride; };
  if (blocks > 1)
    parallel_for(panels,
                 [&](Index j) { transform_kernel<K>(w, j * width, width, panel_memory(j), point_stride); });
  parallel_for(blocks, [&](Index block) {
    const Index first = block * block_tiles, last = std::min(first + block_tiles, in.tiles());
    TileBlock<T> v(in.channels, last - first), m(out.channels, last - first);
    gather_tiles<input, points>(in, x, first, last, v);
    for (Index j = 0; j < panels; ++j) {
      if (blocks == 1) transform_kernel<K>(w, j * width, width, panel_memory(j), point_stride);
      multiply_points(v, last - first, panel_memory(j), point_stride, m, j);
    }
    scatter_tiles<spread<K>.transposed(), 7 - K>(m, out, first, last, y);
  });
}

/// dw[o, tap, c] = Gᵀ·du·G of channels [first, last) of cin and rows [row0, row1), du as [point][cout][cin].
template <int K, class T>
void finish_gradient(const T* du, Index slab, Index cin, Index row0, Index row1, Index first, Index last,
                     T* dw) {
  for (Index o = row0; o < row1; ++o)
    for (Index c = first; c < last; c += lanes<T>) {
      Packet<T> transformed[points][points], gradient[K][K];
      for (Index p = 0; p < 36; ++p)
        transformed[p / points][p % points] = load_channels(du + p * slab + o * cin + c, last - c);
      apply_both<filter<K>.transposed()>(transformed, gradient);
      for (Index tap = 0; tap < K * K; ++tap)
        store_channels(dw + (o * K * K + tap) * cin + c, gradient[tap / K][tap % K], last - c);
    }
}

/// dw of a kernel (Cout, K·K, Cin) from x and dy: blocks of tiles one after the other, panels of both channels in
/// parallel.
template <int K, class T>
void kernel_gradient(const Tiling& in, const T* x, const Tiling& out, const T* dy, T* dw) {
  const Index cin = in.channels, cout = out.channels, slab = cout * cin + 16, tiles = in.tiles();
  const Index step =
      std::max(block_tiles, std::min(cin, cout) / 2);  // long sums where there are many of them
  Tensor<T> du(Shape{36 * slab});
  for (Index first = 0; first < tiles; first += step) {
    const Index last = std::min(first + step, tiles);
    TileBlock<T> v(cin, last - first), m(cout, last - first);
    gather_tiles<input, points>(in, x, first, last, v);
    gather_tiles<spread<K>, 7 - K>(out, dy, first, last, m);
    parallel_for(m.panels * v.panels, [&](Index task) {
      const Index i = task / v.panels, j = task % v.panels;
      const Index row = i * m.width, rows = std::min(m.width, cout - row);
      const Index column = j * v.width, columns = std::min(v.width, cin - column);
      for (Index p = 0; p < 36; ++p)
        linalg::detail::multiply_panel<T>(
            v.width, 0, rows, 0, last - first, T(1), {m.panel(p, i), 1, m.width}, v.panel(p, j), v.width,
            columns, first == 0 ? T(0) : T(1), {du.data() + p * slab + row * cin + column, cin, 1});
      if (last == tiles)
        finish_gradient<K>(du.data(), slab, cin, row, row + rows, column, column + columns, dw);
    });
  }
}

/// Whether this way serves the convolution: float, stride 1, a square 3×3 or 5×5 kernel, and enough channels and pixels
/// for the transforms to pay.
template <class T>
bool serves(const ConvExtents& e) {
  return std::same_as<T, float> && e.o.stride == 1 && e.o.dilation == 1 && e.o.groups == 1 && e.kh == e.kw &&
         (e.kh == 3 || e.kh == 5) && e.o.padding < e.kh && e.cin >= 8 && e.cout >= 8 &&
         e.n * e.ho * e.wo >= 64;
}

/// f<K>() for the kernel's K.
template <class F>
void with_taps(Index k, F f) {
  if (k == 3)
    f.template operator()<3>();
  else
    f.template operator()<5>();
}

/// `image` cut for a filtering whose results are `rows` × `cols` pixels.
template <int K>
Tiling tiling(Index n, Index h, Index w, Index channels, Index margin, Index rows, Index cols) {
  constexpr Index step = 7 - K;
  return {n, h, w, channels, margin, step, (rows + step - 1) / step, (cols + step - 1) / step};
}

/// w (Cout, taps, Cin) as (taps, Cin, Cout), in squares that stay in the nearest cache.
template <class T>
Tensor<T> taps_first(const Tensor<T>& w) {
  constexpr Index block = 16;
  const Index cout = w.dim(0), cin = w.dim(1), taps = w.dim(2) * w.dim(3);
  Tensor<T> out(Shape{taps, cin, cout});
  parallel_for(taps, [&](Index tap) {
    const T* from = w.data() + tap * cin;
    T* to = out.data() + tap * cin * cout;
    for (Index o = 0; o < cout; o += block)
      for (Index c = 0; c < cin; c += block) {
        const Index rows = std::min(block, cout - o), columns = std::min(block, cin - c);
        T square[block][block];
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < columns; ++j) square[j][i] = from[(o + i) * taps * cin + c + j];
        for (Index j = 0; j < columns; ++j) std::copy(square[j], square[j] + rows, to + (c + j) * cout + o);
      }
  });
  return out;
}

template <class T>
Tensor<T> forward(const ConvExtents& e, const Tensor<T>& x, const Tensor<T>& w) {
  Tensor<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  const Tensor<T> taps = taps_first(w);
  with_taps(e.kh, [&]<int K>() {
    filter_images<K>(tiling<K>(e.n, e.h, e.w, e.cin, e.o.padding, e.ho, e.wo), x.data(),
                     Kernel<T>{taps.data(), e.cin, e.cout, e.cout, e.cin * e.cout},
                     tiling<K>(e.n, e.ho, e.wo, e.cout, 0, e.ho, e.wo), y.data());
  });
  return y;
}

template <class T>
Tensor<T> input_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& w) {
  Tensor<T> dx(Shape{e.n, e.cin, e.h, e.w}, Layout::channels_last);
  with_taps(e.kh, [&]<int K>() {
    const T* last_tap = w.data() + (K * K - 1) * e.cin;
    filter_images<K>(tiling<K>(e.n, e.ho, e.wo, e.cout, K - 1 - e.o.padding, e.h, e.w), dy.data(),
                     Kernel<T>{last_tap, e.cout, e.cin, K * K * e.cin, -e.cin},
                     tiling<K>(e.n, e.h, e.w, e.cin, 0, e.h, e.w), dx.data());
  });
  return dx;
}

template <class T>
Tensor<T> weight_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& x) {
  Tensor<T> dw(Shape{e.cout, e.cin, e.kh, e.kw}, Layout::channels_last);
  with_taps(e.kh, [&]<int K>() {
    kernel_gradient<K>(tiling<K>(e.n, e.h, e.w, e.cin, e.o.padding, e.ho, e.wo), x.data(),
                       tiling<K>(e.n, e.ho, e.wo, e.cout, 0, e.ho, e.wo), dy.data(), dw.data());
  });
  return dw;
}

}  // namespace loru::detail::winograd
