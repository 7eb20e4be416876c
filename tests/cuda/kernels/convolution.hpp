#pragma once
// Convolutions on the emulator against sums in double, through the matrices that the kernels never form.
#include <loru/cuda/kernels/compiled.cuh>
#include "cuda/kernels/backward_checks.hpp"
#include "cuda/kernels/forward.hpp"

namespace loru_test {

struct ConvCase {
  int n, h, w, c, m, kh, kw, stride, padding, dilation, r;
  int offset = 0;  // elements off alignment
};

/// Pixels in less and more than a tile, windows in one, two and more steps; channels in and not in multiples
/// of 16 bytes, at most 64 and more; windows beyond the image and wider than it; strides that leave pixels
/// out.
inline const std::vector<ConvCase> conv_cases{
    {2, 5, 7, 3, 5, 3, 3, 1, 0, 1, 3},   {1, 9, 9, 8, 68, 3, 3, 2, 1, 1, 8},
    {2, 9, 8, 16, 8, 3, 3, 1, 1, 1, 16}, {1, 11, 9, 5, 3, 3, 2, 3, 2, 2, 1},
    {1, 1, 1, 16, 16, 3, 3, 1, 1, 1, 4}, {1, 7, 6, 72, 130, 2, 2, 1, 1, 1, 20},
    {1, 6, 6, 8, 16, 1, 1, 2, 0, 1, 40}, {3, 4, 5, 8, 8, 3, 3, 1, 1, 1, 8, 1},
};

inline loru::cuda::ConvShape shape_of(const ConvCase& q) {
  const auto out = [&](int extent, int kernel) {
    return (extent + 2 * q.padding - q.dilation * (kernel - 1) - 1) / q.stride + 1;
  };
  return {q.n,      q.h,       q.w,       q.c, q.m, q.kh, q.kw, out(q.h, q.kh), out(q.w, q.kw),
          q.stride, q.padding, q.dilation};
}

/// The pixel of x under the kernel's `place` at output pixel i, or -1.
inline int pixel_under(const loru::cuda::ConvShape& s, int i, int place) {
  const int y = i / s.wo % s.ho * s.stride - s.padding + place / s.kw * s.dilation;
  const int x = i % s.wo * s.stride - s.padding + place % s.kw * s.dilation;
  return y < 0 || y >= s.h || x < 0 || x >= s.w ? -1 : (i / s.wo / s.ho * s.h + y) * s.w + x;
}

/// The windows of an image (input_pixels, c), written out to (pixels, window).
template <class T>
void write_windows(const loru::cuda::ConvShape& s, Guarded<T>& image, Guarded<T>& windows) {
  for (int i = 0; i < s.pixels(); ++i)
    for (int k = 0; k < s.window(); ++k) {
      const int pixel = pixel_under(s, i, k / s.c);
      windows(i, k) = pixel < 0 ? loru::cuda::from_float<T>(0.0F) : image(pixel, k % s.c);
    }
}

}  // namespace loru_test
