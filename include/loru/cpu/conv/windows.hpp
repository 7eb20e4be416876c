#pragma once
// Convolutions by windows: gathered into a matrix, block by block, and multiplied (im2col + GEMM). Works for
// every geometry and is the reference for faster methods.
//
// Activations and weights are channels-last: x (N, H, W, Cin), w (Cout, kh, kw, Cin / groups) in memory, so
// that a window row is one contiguous copy and the weight is the (m, n) matrix of the layer. Blocks depend on
// shapes alone.

#include <vector>

#include <loru/cpu/conv/way.hpp>
#include <loru/cpu/gemm/gemm_bodies.hpp>

namespace loru::inline LORU_ISA::cpu {

/// First and one-past-last kernel column that lies inside the image for an output column.
struct KernelRange {
  Index first, last;
};

inline KernelRange inside(Index out, Index kernel, Index extent, const ConvOptions& o) {
  const Index start = out * o.stride - o.padding;  // position of kernel element 0
  const Index first = start >= 0 ? 0 : std::min(kernel, (-start + o.dilation - 1) / o.dilation);
  const Index last = extent - 1 - start < 0 ? 0 : std::min(kernel, (extent - 1 - start) / o.dilation + 1);
  return {first, std::max(first, last)};
}

/// Calls f(position of the window matrix row segment, image offset, length) for kernel row i of output pixel
/// (oh, ow) of an image, once per contiguous run; the rest of the segment lies outside the image.
template <class F>
void for_each_run(const ConvExtents& e, Index group, Index oh, Index ow, Index i, F f) {
  const Index y = oh * e.o.stride - e.o.padding + i * e.o.dilation;
  if (y < 0 || y >= e.h) return;
  const KernelRange range = inside(ow, e.kw, e.w, e.o);
  if (range.first >= range.last) return;
  const Index x = ow * e.o.stride - e.o.padding;
  const Index base = (y * e.w + x) * e.cin + group * e.cg;
  if (e.o.dilation == 1 && e.o.groups == 1)
    return f(range.first * e.cg, base + range.first * e.cin, (range.last - range.first) * e.cg);
  for (Index j = range.first; j < range.last; ++j) f(j * e.cg, base + j * e.o.dilation * e.cin, e.cg);
}

/// Kernel rows [i0, i1) of the windows of output lines [line0, line1) (lines run over (n, oh)): (rows,
/// (i1−i0)·kw·cg).
template <std::floating_point T>
void gather_windows(const ConvExtents& e, const T* x, Index group, Index line0, Index line1, Index i0,
                    Index i1, T* columns) {
  const Index width = (i1 - i0) * e.line();
  for (Index line = line0; line < line1; ++line) {
    const T* image = x + line / e.ho * e.h * e.w * e.cin;
    for (Index ow = 0; ow < e.wo; ++ow, columns += width)
      for (Index i = i0; i < i1; ++i) {
        T* segment = columns + (i - i0) * e.line();
        const KernelRange range = inside(ow, e.kw, e.w, e.o);
        const Index y = line % e.ho * e.o.stride - e.o.padding + i * e.o.dilation;
        if (y < 0 || y >= e.h || range.first > 0 || range.last < e.kw)
          std::fill(segment, segment + e.line(), T(0));
        for_each_run(e, group, line % e.ho, ow, i, [&](Index at, Index from, Index length) {
          std::copy(image + from, image + from + length, segment + at);
        });
      }
  }
}

/// Adds window matrix rows back to the image they were gathered from: the transpose of gather_windows.
template <std::floating_point T>
void scatter_windows(const ConvExtents& e, const T* columns, Index group, Index line0, Index line1, T* x) {
  for (Index line = line0; line < line1; ++line) {
    T* image = x + line / e.ho * e.h * e.w * e.cin;
    for (Index ow = 0; ow < e.wo; ++ow, columns += e.window())
      for (Index i = 0; i < e.kh; ++i) {
        const T* segment = columns + i * e.line();
        for_each_run(e, group, line % e.ho, ow, i, [&](Index at, Index from, Index length) {
          for (Index j = 0; j < length; ++j) image[from + j] += segment[at + j];
        });
      }
  }
}

/// The weight whose convolution with dy is the input gradient at stride 1: (Cin, kh, kw, Cout) in memory,
/// kernel reversed in both directions.
template <std::floating_point T>
Tensor<T> reversed_weight(const Tensor<T>& w) {
  const Index cout = w.dim(0), cin = w.dim(1), taps = w.dim(2) * w.dim(3);
  Tensor<T> r(Shape{cin, cout, w.dim(2), w.dim(3)}, Layout::channels_last);
  for (Index i = 0; i < cin; ++i)
    for (Index tap = 0; tap < taps; ++tap)
      for (Index o = 0; o < cout; ++o)
        r.data()[(i * taps + tap) * cout + o] = w.data()[(o * taps + taps - 1 - tap) * cin + i];
  return r;
}

/// dx for any geometry: windows of gradients, dy·W, added back to where they came from, image by image.
template <std::floating_point T>
Tensor<T> windows_input_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& w) {
  Tensor<T> dx(Shape{e.n, e.cin, e.h, e.w}, Layout::channels_last);
  std::vector<Panels<T>> weights;
  for (Index g = 0; g < e.o.groups; ++g)
    weights.push_back(pack<T>({w.data() + g * e.mg * e.window(), e.window(), 1}, e.mg, e.window()));
  const Index step = std::min(e.block_lines(384, e.window()), e.ho), image = e.h * e.w * e.cin;
  parallel_for(e.n, [&](Index n) {
    std::fill(dx.data() + n * image, dx.data() + (n + 1) * image, T(0));
    Tensor<T> columns(Shape{step * e.wo, e.window()});
    for (Index first = n * e.ho; first < (n + 1) * e.ho; first += step) {
      const Index last = std::min(first + step, (n + 1) * e.ho), rows = (last - first) * e.wo;
      for (Index g = 0; g < e.o.groups; ++g) {
        multiply<T>(rows, T(1), {dy.data() + first * e.wo * e.cout + g * e.mg, e.cout, 1},
                    weights[static_cast<std::size_t>(g)], T(0), {columns.data(), e.window(), 1});
        scatter_windows(e, columns.data(), g, first, last, dx.data());
      }
    }
  });
  return dx;
}

/// y of x and w, both channels-last.
template <std::floating_point T>
Tensor<T> windows_forward(const ConvExtents& e, const Tensor<T>& x, const Tensor<T>& w) {
  Tensor<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  std::vector<Panels<T>> weights;
  for (Index g = 0; g < e.o.groups; ++g)
    weights.push_back(pack<T>({w.data() + g * e.mg * e.window(), 1, e.window()}, e.window(), e.mg));
  const Index lines = e.n * e.ho, step = e.block_lines(384, e.window());
  parallel_for((lines + step - 1) / step, [&](Index block) {
    const Index first = block * step, last = std::min(first + step, lines), rows = (last - first) * e.wo;
    Tensor<T> columns(Shape{rows, e.window()});
    for (Index g = 0; g < e.o.groups; ++g) {
      gather_windows(e, x.data(), g, first, last, 0, e.kh, columns.data());
      multiply<T>(rows, T(1), {columns.data(), e.window(), 1}, weights[static_cast<std::size_t>(g)], T(0),
                  {y.data() + first * e.wo * e.cout + g * e.mg, e.cout, 1});
    }
  });
  return y;
}

/// dw from dy and x: the window matrix of x, transposed, times dy, kernel row by kernel row (all rows at once
/// for a small window).
template <std::floating_point T>
Tensor<T> windows_weight_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& x) {
  Tensor<T> dw(Shape{e.cout, e.cg, e.kh, e.kw}, Layout::channels_last);
  const Index rows_at_once = e.window() <= 64 ? e.kh : 1, lines = e.n * e.ho;
  if (lines == 0) std::fill(dw.data(), dw.data() + dw.size(), T(0));
  const Index step = e.block_lines(1024, rows_at_once * e.line());
  parallel_for(e.kh / rows_at_once, [&](Index task) {
    const Index i = task * rows_at_once, width = rows_at_once * e.line();
    Tensor<T> columns(Shape{std::min(step, lines) * e.wo, width});
    for (Index g = 0; g < e.o.groups; ++g)
      for (Index first = 0; first < lines; first += step) {
        const Index last = std::min(first + step, lines), pixels = (last - first) * e.wo;
        gather_windows(e, x.data(), g, first, last, i, i + rows_at_once, columns.data());
        const auto gradient =
            pack<T>({dy.data() + first * e.wo * e.cout + g * e.mg, e.cout, 1}, pixels, e.mg);
        multiply<T>(width, T(1), {columns.data(), 1, width}, gradient, first == 0 ? T(0) : T(1),
                    {dw.data() + g * e.mg * e.window() + i * e.line(), 1, e.window()});
      }
  });
  return dw;
}

}  // namespace loru::inline LORU_ISA::cpu
