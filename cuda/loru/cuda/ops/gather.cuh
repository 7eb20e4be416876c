#pragma once
// Batches put together from a data set that lies on the device.

#include <loru/core/scalar.hpp>
#include <loru/cuda/ops/map.cuh>
#include <loru/ops/shapes.hpp>

namespace loru::cuda {

namespace detail {

/// Element `at` of an image in its memory order: pixel (h, w) of channel c is pixel (h + down, w' + right) of
/// the sample's, w' = flip ? W − 1 − w : w, or zero outside of it. `place` is (down, right, flip) or null;
/// `normalisation` is unit, mean and 1 / deviation of each channel.
template <class T, class Raw>
__device__ T gathered(const Raw* sample, const std::int32_t* place, const double* normalisation, Index at,
                      Index c, Index h, Index w, bool channels_last) {
  const Index pixels = h * w;
  const Index channel = channels_last ? at % c : at / pixels, pixel = channels_last ? at / c : at % pixels;
  const Index column = pixel % w, mirrored = place && place[2] ? w - 1 - column : column;
  const Index row = pixel / w + (place ? place[0] : 0), from = mirrored + (place ? place[1] : 0);
  if (row < 0 || row >= h || from < 0 || from >= w) return T(0);
  const Raw raw = sample[(channel * h + row) * w + from];
  const double* n = normalisation + 3 * channel;
  return static_cast<T>(scalar::standardised(static_cast<double>(raw), n[0], n[1], n[2]));
}

/// Element i of y in its memory order.
template <class T, class Raw>
struct GatherImages {
  T* y;
  const Raw* images;
  const std::int32_t *samples, *places;  // places may be null
  const double* normalisation;
  Index c, h, w;
  bool channels_last;
  __device__ void operator()(Index i) const {
    const Index pixels = h * w, image = i / (c * pixels), at = i % (c * pixels);
    y[i] = gathered<T>(images + samples[image] * c * pixels, places ? places + 3 * image : nullptr,
                       normalisation, at, c, h, w, channels_last);
  }
};

template <class E>
struct GatherLabels {
  E* y;
  const E* labels;
  const std::int32_t* samples;
  __device__ void operator()(Index i) const { y[i] = labels[samples[i]]; }
};

/// Rows of a turn: the numbers of the samples (steps' batches one after the other), or (number, down, right,
/// flip) each. Element i of a batch that begins at row position[0], and for i below n its label.
template <class T, class Raw>
struct GatherBatch {
  T* y;
  std::int32_t* y_labels;
  const Raw* images;
  const std::int32_t *labels, *rows, *position;
  const double* normalisation;
  Index n, c, h, w, width;
  bool channels_last;
  __device__ void operator()(Index i) const {
    const Index pixels = h * w, image = i / (c * pixels), at = i % (c * pixels);
    const Index first = position[0];
    const std::int32_t* row = rows + (first + image) * width;
    y[i] = gathered<T>(images + row[0] * c * pixels, width > 1 ? row + 1 : nullptr, normalisation, at, c, h,
                       w, channels_last);
    if (i < n) y_labels[i] = labels[rows[(first + i) * width]];
  }
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

namespace detail {

template <class T, class Raw>
void gather_rows(Array<T>& y, Labels& y_labels, const Array<Raw>& images, const Labels& labels,
                 const Labels& rows, const Labels& position, const Array<double>& normalisation) {
  const Shape &s = y.shape(), &all = images.shape();
  const Index n = s[0], width = rows.rank() == 2 ? rows.dim(1) : 1;
  require<ShapeError>(s.rank() == 4 && all.rank() == 4 && s[1] == all[1] && s[2] == all[2] &&
                          s[3] == all[3] && labels.size() == all[0] && y_labels.size() == n &&
                          (width == 1 || width == 4) && n * width <= rows.size() && position.size() == 2 &&
                          normalisation.shape() == Shape{s[1], 3},
                      "gather_batch: expected a batch of images of shape ", all, " with labels, got ", s,
                      " of rows ", rows.shape());
  for_each("gather_batch", y.size(),
           GatherBatch<T, Raw>{y.data(), y_labels.data(), images.data(), labels.data(), rows.data(),
                               position.data(), normalisation.data(), n, s[1], s[2], s[3], width,
                               y.layout() == Layout::channels_last});
}

}  // namespace detail

template <class T>
void gather_batch(Array<T>& y, Labels& y_labels, const Array<std::uint8_t>& images, const Labels& labels,
                  const Labels& rows, const Labels& position, const Array<double>& normalisation) {
  detail::gather_rows(y, y_labels, images, labels, rows, position, normalisation);
}

template <class T>
void gather_batch(Array<T>& y, Labels& y_labels, const Array<float>& images, const Labels& labels,
                  const Labels& rows, const Labels& position, const Array<double>& normalisation) {
  detail::gather_rows(y, y_labels, images, labels, rows, position, normalisation);
}

template <class E>
void gather_labels(Array<E>& y, const Array<E>& labels, const Labels& samples) {
  loru::detail::check_gather_labels(y.shape(), samples.shape());
  detail::for_each("gather_labels", y.size(),
                   detail::GatherLabels<E>{y.data(), labels.data(), samples.data()});
}

}  // namespace loru::cuda
