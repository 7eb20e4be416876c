#pragma once
// Batches from a data set that lies on the device, on host tensors.

#include <algorithm>
#include <cstdint>

#include <loru/core/scalar.hpp>
#include <loru/ops/shapes.hpp>

namespace loru::inline LORU_ISA {

/// y[n, c, h, w] = (raw·unit[c] − mean[c])·inverse[c] in double, rounded once, where raw is the pixel (h +
/// down, w' + right), w' = flip ? W − 1 − w : w, of image samples[n]; zero outside the image. y (n, C, H, W)
/// in its layout, images (N, C, H, W) row-major, samples (n) within [0, N), places (n, 3) = down, right,
/// flip, or empty, normalisation (C, 3) = unit, mean, inverse deviation. Throws ShapeError.
template <Scalar T, class Raw>
void gather_images(Tensor<T>& y, const Tensor<Raw>& images, const Tensor<std::int32_t>& samples,
                   const Tensor<std::int32_t>& places, const Tensor<double>& normalisation) {
  detail::check_gather(y.shape(), images.shape(), samples.size(), places.size(), normalisation.shape());
  const Index channels = y.dim(1), height = y.dim(2), width = y.dim(3);
  for (Index n = 0; n < y.dim(0); ++n) {
    const std::int32_t* place = places ? places.data() + 3 * n : nullptr;
    const Index down = place ? place[0] : 0, right = place ? place[1] : 0;
    const bool flip = place && place[2] != 0;
    for (Index c = 0; c < channels; ++c) {
      const double* of = normalisation.data() + 3 * c;
      const Raw* image = images.data() + images.offset(samples.data()[n], c, 0, 0);
      for (Index h = 0; h < height; ++h)
        for (Index w = 0; w < width; ++w) {
          const Index row = h + down, column = (flip ? width - 1 - w : w) + right;
          const bool inside = row >= 0 && row < height && column >= 0 && column < width;
          const double raw = inside ? static_cast<double>(image[row * width + column]) : 0.0;
          y.data()[y.offset(n, c, h, w)] =
              inside ? T(static_cast<Real<T>>(scalar::standardised(raw, of[0], of[1], of[2]))) : T(0);
        }
    }
  }
}

/// y[n] = labels[samples[n]]. Throws ShapeError if y and samples differ in shape.
template <class E>
void gather_labels(Tensor<E>& y, const Tensor<E>& labels, const Tensor<std::int32_t>& samples) {
  detail::check_gather_labels(y.shape(), samples.shape());
  std::transform(samples.data(), samples.data() + samples.size(), y.data(),
                 [&](std::int32_t sample) { return labels.data()[sample]; });
}

}  // namespace loru::inline LORU_ISA
