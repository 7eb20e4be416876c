#pragma once
// Convolutions straight from images, without a matrix of windows: one group, no dilation, any kernel and
// stride.
//
// In a padded channels-last image, row i of a window is kw·Cin consecutive numbers, and the windows of an
// output line begin stride·Cin apart. The micro-kernel reads both through its strides. Used for few input
// channels, for 1×1 kernels with a stride, and where Winograd's method does not apply.

#include <loru/cpu/conv/windows.hpp>
#include <loru/cpu/gemm/gemm_bodies.hpp>

namespace loru::inline LORU_ISA::cpu {

/// Images with `padding` zeros around: (N, h, w, Cin) in memory.
template <class T>
struct PaddedImages {
  Index h, w, channels;
  Tensor<T> memory;

  PaddedImages(const ConvExtents& e, const Tensor<T>& x)
      : h{e.h + 2 * e.o.padding}, w{e.w + 2 * e.o.padding}, channels{e.cin}, memory{x} {
    if (e.o.padding == 0) return;
    memory = Tensor<T>(Shape{e.n * h * w * e.cin});
    const Index before = e.o.padding * e.cin, row = e.w * e.cin, image = h * w * e.cin;
    parallel_for(e.n, [&](Index n) {
      T* to = memory.data() + n * image;
      std::fill(to, to + image, T(0));
      for (Index y = 0; y < e.h; ++y) {
        const T* from = x.data() + (n * e.h + y) * row;
        std::copy(from, from + row, to + (y + e.o.padding) * w * e.cin + before);
      }
    });
  }

  /// Row y of padded image n.
  const T* line(Index n, Index y) const { return memory.data() + (n * h + y) * w * channels; }
};

/// y of x and w, both channels-last.
template <std::floating_point T>
Tensor<T> lines_forward(const ConvExtents& e, const Tensor<T>& x, const Tensor<T>& w) {
  Tensor<T> y(Shape{e.n, e.cout, e.ho, e.wo}, Layout::channels_last);
  const PaddedImages<T> images(e, x);
  const Panels<T> kernel = pack<T>({w.data(), 1, e.window()}, e.window(), e.cout);
  // Short windows are one chain of sums, long ones a chain for each kernel row.
  const bool whole = e.window() <= depth_block;
  const Depth depth{e.line(), whole ? e.kh : 1, images.w * e.cin};
  const Index lines = e.n * e.ho, step = std::max<Index>(1, 112 / std::max<Index>(1, e.wo));
  parallel_for((lines + step - 1) / step, [&](Index block) {
    for (Index j = 0; j < kernel.count(); ++j)
      for (Index line = block * step; line < std::min((block + 1) * step, lines); ++line)
        for (Index i = 0; i < (whole ? 1 : e.kh); ++i)
          multiply_panel<T>(kernel.width, e.wo, depth, T(1),
                            {images.line(line / e.ho, line % e.ho * e.o.stride + i), e.o.stride * e.cin, 1},
                            kernel.panel(j) + i * e.line() * kernel.width, kernel.width,
                            std::min(kernel.width, e.cout - j * kernel.width), i == 0 ? T(0) : T(1),
                            {y.data() + line * e.wo * e.cout + j * kernel.width, e.cout, 1});
  });
  return y;
}

/// dw from dy and x: for every kernel row and panel of output channels the sums over an image's pixels, image
/// by image. Full panels of dy are read in place, one that is not full is packed.
template <std::floating_point T>
Tensor<T> lines_weight_gradient(const ConvExtents& e, const Tensor<T>& dy, const Tensor<T>& x) {
  Tensor<T> dw(Shape{e.cout, e.cin, e.kh, e.kw}, Layout::channels_last);
  const PaddedImages<T> images(e, x);
  const Index width = panel_width<T>(e.cout), panels = (e.cout + width - 1) / width;
  const Depth depth{e.wo, e.ho, e.o.stride * images.w * e.cin};
  parallel_for(e.kh * panels, [&](Index task) {
    const Index i = task / panels, column = task % panels * width, columns = std::min(width, e.cout - column);
    Tensor<T> sums(Shape{e.line(), columns});
    std::fill(sums.data(), sums.data() + sums.size(), T(0));
    const auto add_image = [&](Index n, Index panel, const T* gradient, Index stride) {
      multiply_panel<T>(panel, e.line(), depth, T(1), {images.line(n, i), 1, e.o.stride * e.cin}, gradient,
                        stride, columns, T(1), {sums.data(), columns, 1});
    };
    for (Index n = 0; n < e.n; ++n) {
      const T* gradient = dy.data() + n * e.ho * e.wo * e.cout + column;
      if (columns == width) {
        add_image(n, width, gradient, e.cout);
      } else {
        const auto packed = pack<T>({gradient, e.cout, 1}, e.ho * e.wo, columns);
        add_image(n, packed.width, packed.panel(0), packed.width);
      }
    }
    for (Index o = 0; o < columns; ++o)
      for (Index k = 0; k < e.line(); ++k)
        dw.data()[(column + o) * e.window() + i * e.line() + k] = sums.data()[k * columns + o];
  });
  return dw;
}

}  // namespace loru::inline LORU_ISA::cpu
