#pragma once
// Batches put together from a data set that lies on the device.

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/map.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

namespace detail {

/// Element i of y in its memory order: pixel (h, w) of channel c of image n is pixel (h + down, w' + right)
/// of the sample's, w' = flip ? W − 1 − w : w, or zero outside of it.
template <class T, class Raw>
struct GatherImages {
  T* y;
  const Raw* images;
  const std::int32_t *samples, *places;  // places may be null
  const double* normalisation;           // unit, mean and 1 / deviation of each channel
  Index c, h, w;
  bool channels_last;
  __device__ void operator()(Index i) const {
    const Index pixels = h * w, image = i / (c * pixels), at = i % (c * pixels);
    const Index channel = channels_last ? at % c : at / pixels, pixel = channels_last ? at / c : at % pixels;
    const std::int32_t* place = places ? places + 3 * image : nullptr;
    const Index column = pixel % w, mirrored = place && place[2] ? w - 1 - column : column;
    const Index row = pixel / w + (place ? place[0] : 0), from = mirrored + (place ? place[1] : 0);
    if (row < 0 || row >= h || from < 0 || from >= w) {
      y[i] = T(0);
      return;
    }
    const Raw raw = images[((samples[image] * c + channel) * h + row) * w + from];
    const double* n = normalisation + 3 * channel;
    y[i] = static_cast<T>(scalar::standardised(static_cast<double>(raw), n[0], n[1], n[2]));
  }
};

template <class E>
struct GatherLabels {
  E* y;
  const E* labels;
  const std::int32_t* samples;
  __device__ void operator()(Index i) const { y[i] = labels[samples[i]]; }
};

template <class T, class Raw>
void gather(Array<T>& y, const Array<Raw>& images, const Labels& samples, const Labels& places,
            const Array<double>& normalisation) {
  const Shape& s = y.shape();
  loru::detail::check_gather(s, images.shape(), samples.size(), places.size(), normalisation.shape());
  for_each("gather_images", y.size(),
           GatherImages<T, Raw>{y.data(), images.data(), samples.data(), places ? places.data() : nullptr,
                                normalisation.data(), s[1], s[2], s[3], y.layout() == Layout::channels_last});
}

}  // namespace detail

template <class T>
void gather_images(Array<T>& y, const Array<std::uint8_t>& images, const Labels& samples,
                   const Labels& places, const Array<double>& normalisation) {
  detail::gather(y, images, samples, places, normalisation);
}

template <class T>
void gather_images(Array<T>& y, const Array<float>& images, const Labels& samples, const Labels& places,
                   const Array<double>& normalisation) {
  detail::gather(y, images, samples, places, normalisation);
}

template <class E>
void gather_labels(Array<E>& y, const Array<E>& labels, const Labels& samples) {
  loru::detail::check_gather_labels(y.shape(), samples.shape());
  detail::for_each("gather_labels", y.size(),
                   detail::GatherLabels<E>{y.data(), labels.data(), samples.data()});
}

}  // namespace loru::cuda
