#pragma once
// Image batches cut into tiles, and blocks of transformed tiles.

#include <vector>

#include <loru/cpu/conv/winograd/scheme.hpp>
#include <loru/cpu/conv/winograd/transform.hpp>
#include <loru/cpu/gemm/gemm_bodies.hpp>

namespace loru::inline LORU_ISA::cpu::winograd {

/// Up to lanes<T> channels from `from`, zero beyond `count`.
template <class T>
Packet<T> load_channels(const T* from, Index count) {
  if (count >= lanes<T>) return ploadu<Packet<T>>(from);
  alignas(64) T part[lanes<T>] = {};
  for (Index i = 0; i < count; ++i) part[i] = from[i];
  return pload<Packet<T>>(part);
}

template <class T>
void store_channels(T* to, Packet<T> value, Index count) {
  if (count >= lanes<T>) return pstoreu(to, value);
  alignas(64) T part[lanes<T>];
  pstore(part, value);
  for (Index i = 0; i < count; ++i) to[i] = part[i];
}

/// An image batch in channels-last memory, each image cut into rows × cols tiles. Neighbouring tiles are
/// `step` pixels apart; the first begins `margin` pixels outside the image.
struct Tiling {
  Index n, h, w, channels, margin, step, rows, cols;
  Index tiles() const { return n * rows * cols; }
};

/// The places of the pixels of one tile: Side×Side addresses of their first channel, `outside` for pixels
/// outside the image.
template <int Side, class T>
struct TilePixels {
  T* at[Side][Side];

  TilePixels(const Tiling& t, Index tile, T* image, T* outside) {
    const Index n = tile / (t.rows * t.cols);
    const Index y0 = tile / t.cols % t.rows * t.step - t.margin, x0 = tile % t.cols * t.step - t.margin;
    for (Index i = 0; i < Side; ++i)
      for (Index j = 0; j < Side; ++j) {
        const Index y = y0 + i, x = x0 + j;
        const bool inside = y >= 0 && y < t.h && x >= 0 && x < t.w;
        at[i][j] = inside ? image + ((n * t.h + y) * t.w + x) * t.channels : outside;
      }
  }
};

/// Transformed values of up to `capacity` tiles: element (point, panel of channels, tile, channel of the
/// panel).
template <class T>
struct TileBlock {
  Index channels, capacity, width, panels, slab;
  Tensor<T> memory;

  TileBlock(Index points, Index channel_count, Index tile_count)
      : channels{channel_count},
        capacity{tile_count},
        width{panel_width<T>(channel_count)},
        panels{(channel_count + width - 1) / width},
        slab{panels * capacity * width + 16},  // slabs of points do not fall onto the same cache sets
        memory(Shape{points * slab}) {}

  T* panel(Index point, Index panel) { return memory.data() + point * slab + panel * capacity * width; }
};

/// Reads the pixels of tiles [first, last), zero outside the image, and keeps M·tile·Mᵀ: (R·R points, tiles,
/// channels).
template <auto M, class T>
LORU_INLINED_WHOLE void gather_tiles(const Tiling& t, const T* image, Index first, Index last,
                                     TileBlock<T>& out) {
  constexpr int R = M.rows, C = M.cols;
  Tensor<T> zeros(Shape{t.channels + lanes<T>});
  std::fill(zeros.data(), zeros.data() + zeros.size(), T(0));
  for (Index tile = first; tile < last; ++tile) {
    const TilePixels<C, const T> pixels(t, tile, image, zeros.data());
    for (Index panel = 0; panel < out.panels; ++panel)
      for (Index lane = 0; lane < out.width; lane += lanes<T>) {
        const Index channel = panel * out.width + lane, left = t.channels - channel;
        T* to = out.panel(0, panel) + (tile - first) * out.width + lane;
        const auto store = [&]<int I, int J>(Packet<T> value) {
          pstoreu(to + (I * R + J) * out.slab, value);
        };
        const auto transform = [&](auto load) { apply_both<M, Packet<T>>(load, store); };
        if (left >= lanes<T>)
          transform([&]<int I, int J>() {
            const T* pixel = pixels.at[I][J] + channel;
            __builtin_prefetch(pixel + t.step * t.channels);  // the next tile's
            return ploadu<Packet<T>>(pixel);
          });
        else if (left <= 0)
          unroll<R * R>([&]<int P>() { store.template operator()<P / R, P % R>(pset1<Packet<T>>(T(0))); });
        else
          transform([&]<int I, int J>() { return load_channels<T>(pixels.at[I][J] + channel, left); });
      }
  }
}

/// Writes M·tile·Mᵀ of tiles [first, last) of one panel of channels to the pixels of the image, as far as
/// they lie inside. `block` holds that panel alone.
template <auto M, class T>
LORU_INLINED_WHOLE void scatter_tiles(TileBlock<T>& block, Index panel, const Tiling& t, Index first,
                                      Index last, T* image) {
  constexpr int R = M.rows, C = M.cols;
  alignas(64) T dump[lanes<T>];
  for (Index tile = first; tile < last; ++tile) {
    const TilePixels<R, T> pixels(t, tile, image, nullptr);
    for (Index lane = 0; lane < block.width; lane += lanes<T>) {
      const Index channel = panel * block.width + lane, left = t.channels - channel;
      if (left <= 0) break;
      const T* from = block.panel(0, 0) + (tile - first) * block.width + lane;
      apply_both<M, Packet<T>>(
          [&]<int I, int J>() { return ploadu<Packet<T>>(from + (I * C + J) * block.slab); },
          [&]<int I, int J>(Packet<T> value) {
            T* pixel = pixels.at[I][J];
            store_channels<T>(pixel ? pixel + channel : dump, value, pixel ? left : lanes<T>);
          });
    }
  }
}

}  // namespace loru::inline LORU_ISA::cpu::winograd
