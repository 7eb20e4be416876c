#pragma once
// Convolutions by Winograd's minimal filtering: 3×3 and 5×5 kernels of stride 1, 3×3 kernels of stride 2.
//
// Images are cut into tiles. Transformed tiles stand as [point][panel of channels][tile][channel], so that
// each point is a matrix product on the micro-kernel, forward and for both gradients:
//   y = Y·[U ⊙ V]·Yᵀ,   U = G·w·Gᵀ,  V = X·x·Xᵀ
//   dw = Gᵀ·[Σ_tiles (Yᵀ·dy·Y) ⊙ V]·G,   dx = a filtering of dy by the reversed kernel.

#include <loru/cpu/conv/way.hpp>
#include <loru/cpu/conv/windows.hpp>
#include <loru/cpu/conv/winograd/kernel.hpp>

namespace loru::inline LORU_ISA::cpu::winograd {

/// Tiles in a block of a filtering, and the least number of tiles in a block of a weight gradient. Both are
/// multiples of the micro-kernel's rows.
inline constexpr Index filter_block = 56, gradient_block = 56;

/// Up to this many transformed values all tiles are one block. That is more than the caches near a core hold,
/// but the kernel is then transformed and read only once.
inline constexpr Index one_block = 3 << 19;

/// With a single block the kernel is transformed for this many channels at a time, so that the result stays
/// in a near cache.
inline constexpr Index near_depth = 128;

/// m = (accumulate ? m : 0) + V·U at one point, over `count` channels of V from panel `first` on; U (count,
/// width).
template <class T>
void multiply_channels(Index tiles, TileBlock<T>& v, Index point, Index first, Index count, const T* u,
                       Index width, bool accumulate, T* m) {
  const Index full = count / v.width, rest = count % v.width;
  const auto multiply = [&](const cpu::Depth& depth, Index panel) {
    multiply_panel<T>(width, tiles, depth, T(1), {v.panel(point, panel), v.width, 1},
                      u + (panel - first) * v.width * width, width, width, accumulate ? T(1) : T(0),
                      {m, width, 1});
    accumulate = true;
  };
  if (full > 0) multiply({v.width, full, v.capacity * v.width}, first);
  if (rest > 0) multiply({rest}, first + full);
}

/// The filtering F of `in` by a kernel with transform G, written to `out`: block by block of tiles, and in
/// each block panel by panel of output channels. With a single block the kernel is transformed piece by piece
/// and each piece is used immediately; otherwise the whole transformed kernel is kept.
template <auto F, auto G, class T>
void filter_images(const Tiling& in, const T* x, const Kernel<T>& w, const Tiling& out, T* y) {
  constexpr int points = F.points, taps = G.rows;
  constexpr auto window = F.window;
  constexpr auto collect = F.collect;
  const Index width = panel_width<T>(w.columns), panels = (w.columns + width - 1) / width;
  const Index all = in.tiles(), step = points * points * in.channels * all <= one_block ? all : filter_block;
  const Index blocks = (all + step - 1) / step;
  const bool once = blocks == 1;
  const Index piece = once ? std::min(w.depth, near_depth) : w.depth;
  TransformedKernel<T> u(taps * taps, piece, width, once ? 1 : panels);
  if (!once) parallel_for(panels, [&](Index j) { transform_kernel<G>(w, j * width, u, u.panel(j)); });
  parallel_for(blocks, [&](Index block) {
    const Index first = block * step, last = std::min(first + step, all), tiles = last - first;
    TileBlock<T> v(points * points, in.channels, tiles), m(points * points, width, tiles);
    gather_tiles<window>(in, x, first, last, v);
    for (Index j = 0; j < panels; ++j) {
      T* kernel = u.panel(once ? 0 : j);
      for (Index depth = 0; depth < w.depth; depth += piece) {
        const Index count = std::min(piece, w.depth - depth);
        if (once) transform_kernel<G>(w.rows(depth, count), j * width, u, kernel);
        for (Index p = 0; p < points * points; ++p)
          multiply_channels(tiles, v, p, depth / v.width, count, kernel + F.tap_of(p) * u.slab, width,
                            depth > 0, m.panel(p, 0));
      }
      scatter_tiles<collect>(m, j, out, first, last, y);
    }
  });
}

/// dw of a kernel (Cout, K·K, Cin) from x and dy: blocks of tiles one after the other, pairs of channel
/// panels in parallel. With a single block the sums of a pair are final; otherwise the sums of all pairs are
/// kept from block to block.
template <auto F, auto G, class T>
void kernel_gradient(const Tiling& in, const T* x, const Tiling& out, const T* dy, T* dw, Index block_tiles) {
  constexpr int points = F.points, taps = G.rows, k = G.cols;
  constexpr auto window = F.window;
  constexpr auto spread = F.collect.transposed();
  const Index cin = in.channels, cout = out.channels, tiles = in.tiles();
  const Index rows = panel_width<T>(cout), columns = panel_width<T>(cin), slab = rows * columns + 16;
  const Index pairs = (cout + rows - 1) / rows * ((cin + columns - 1) / columns);
  const bool once = tiles <= block_tiles;
  Tensor<T> kept(Shape{once ? 0 : pairs * taps * taps * slab});
  for (Index first = 0; first < tiles; first += block_tiles) {
    const Index last = std::min(first + block_tiles, tiles);
    TileBlock<T> v(points * points, cin, last - first), d(points * points, cout, last - first);
    gather_tiles<window>(in, x, first, last, v);
    gather_tiles<spread>(out, dy, first, last, d);
    parallel_for(pairs, [&](Index pair) {
      const Index i = pair / v.panels, j = pair % v.panels;
      Tensor<T> local(Shape{once ? taps * taps * slab : 0});
      T* du = once ? local.data() : kept.data() + pair * taps * taps * slab;
      for (Index p = 0; p < points * points; ++p) {
        const bool begins = first == 0 && F.begins_tap(p);
        multiply_panel<T>(v.width, d.width, {last - first}, T(1), {d.panel(p, i), 1, d.width}, v.panel(p, j),
                          v.width, v.width, begins ? T(0) : T(1), {du + F.tap_of(p) * slab, v.width, 1});
      }
      if (last == tiles) {
        const Index row = i * rows, column = j * columns;
        finish_gradient<G>(du, slab, columns, std::min(rows, cout - row), std::min(columns, cin - column),
                           dw + row * k * k * cin + column, cin);
      }
    });
  }
}

/// The images that a filtering reads and writes, both cut into the same number of tiles. The tiles that are
/// read begin `margin` pixels outside.
struct Tilings {
  Tiling in, out;
};

template <auto F>
Tilings tilings(Index n, Index in_h, Index in_w, Index in_channels, Index margin, Index out_h, Index out_w,
                Index out_channels) {
  const Index rows = (out_h + F.out_step - 1) / F.out_step, cols = (out_w + F.out_step - 1) / F.out_step;
  return {{n, in_h, in_w, in_channels, margin, F.in_step, rows, cols},
          {n, out_h, out_w, out_channels, 0, F.out_step, rows, cols}};
}

template <std::same_as<float> T>
Tensor<T> forward(const ConvExtents& e, const Tensor<T>& x, const Tensor<T>& w) {
  Tensor<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  with_scheme(e, [&]<class S>() {
    constexpr auto f = S::forward;
    constexpr auto g = S::taps;
    const auto [in, out] = tilings<f>(e.n, e.h, e.w, e.cin, e.o.padding, e.ho, e.wo, e.cout);
    filter_images<f, g, T>(in, x.data(), {w.data(), e.cin, e.cout, 1, e.cin, e.window()}, out, y.data());
  });
  return y;
}

template <std::same_as<float> T>
Tensor<T> input_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& w) {
  Tensor<T> dx(Shape{e.n, e.cin, e.h, e.w}, Layout::channels_last);
  with_scheme(e, [&]<class S>() {
    constexpr auto f = S::input_gradient;
    constexpr auto g = S::taps;
    const Index margin = e.o.stride == 1 ? e.kh - 1 - e.o.padding : 0;
    const auto [in, out] = tilings<f>(e.n, e.ho, e.wo, e.cout, margin, e.h, e.w, e.cin);
    const T* last_tap = w.data() + (e.kh * e.kw - 1) * e.cin;
    filter_images<f, g, T>(in, dy.data(), {last_tap, e.cout, e.cin, e.window(), -e.cin, 1}, out, dx.data());
  });
  return dx;
}

template <std::same_as<float> T>
Tensor<T> weight_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& x) {
  Tensor<T> dw(Shape{e.cout, e.cin, e.kh, e.kw}, Layout::channels_last);
  with_scheme(e, [&]<class S>() {
    constexpr auto f = S::forward;
    constexpr auto g = S::taps;
    const auto [in, out] = tilings<f>(e.n, e.h, e.w, e.cin, e.o.padding, e.ho, e.wo, e.cout);
    kernel_gradient<f, g, T>(in, x.data(), out, dy.data(), dw.data(),
                             std::max(gradient_block, std::min(e.cin, e.cout) / 2));
  });
  return dw;
}

}  // namespace loru::inline LORU_ISA::cpu::winograd
