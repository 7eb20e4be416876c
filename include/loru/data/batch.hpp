#pragma once
// Batch: chosen samples as tensors, normalised straight from the raw features.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include <loru/core/dual.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/tensor.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/transform.hpp>

namespace loru::inline LORU_ISA::data {

/// inputs (N, C, H, W), labels (N).
template <class T, class D = Cpu>
struct Batch {
  Tensor<T, D> inputs;
  Tensor<std::int32_t, D> labels;

  Index size() const { return labels.size(); }
};

namespace detail {

/// Throws ShapeError for a sample outside the data set, ConfigError for an augmentation without a stream.
inline void check_samples(const Dataset& dataset, std::span<const Index> samples, const Augment* augment,
                          const rng::Stream* stream) {
  require<ConfigError>(!augment || stream, "gather: expected a random stream for the augmentation, got none");
  for (const Index i : samples)
    require<ShapeError>(i >= 0 && i < dataset.size(), "gather: ", dataset.name, ": expected a sample in [0, ",
                        dataset.size(), "), got ", i);
}

/// raw -> (raw·unit − mean) / deviation of one channel.
template <class T>
class Normaliser {
 public:
  Normaliser(const Normalisation& n, std::size_t channel)
      : unit_{n.unit}, mean_{n.mean[channel]}, inverse_{1.0 / n.deviation[channel]} {}

  template <class Raw>
  T operator()(Raw raw) const {
    return T(static_cast<Real<T>>((static_cast<double>(raw) * unit_ - mean_) * inverse_));
  }

 private:
  double unit_, mean_, inverse_;
};

/// Asks for memory that is read soon; samples of a batch lie anywhere in the data set.
template <class Raw>
void prefetch(const Raw* from, Index count) {
  for (Index i = 0; i < count; i += 64 / static_cast<Index>(sizeof(Raw))) __builtin_prefetch(from + i);
}

template <class T, class Raw>
void gather_inputs(Tensor<T>& inputs, const Dataset& dataset, const std::vector<Raw>& features,
                   std::span<const Index> samples, std::span<const Placement> places) {
  const Index channels = dataset.sample[0], height = dataset.sample[1], width = dataset.sample[2];
  const Index plane = height * width, length = channels * plane;
  const bool last = inputs.layout() == Layout::channels_last;
  for (Index c = 0; c < channels; ++c) {
    const Normaliser<T> value{dataset.normalisation, static_cast<std::size_t>(c)};
    for (std::size_t n = 0; n < samples.size(); ++n) {
      if (n + 1 < samples.size()) prefetch(features.data() + samples[n + 1] * length + c * plane, plane);
      T* out = inputs.data() + static_cast<Index>(n) * length + (last ? c : c * plane);
      const Raw* in = features.data() + samples[n] * length + c * plane;
      place_plane(out, last ? channels : 1, in, height, width, places.empty() ? Placement{} : places[n],
                  value);
    }
  }
}

}  // namespace detail

/// The given samples in the given order, normalised (Normalisation) and, with `augment`, changed at random by
/// `stream`, which is asked once a sample in order: the result does not depend on the layout. Throws
/// ShapeError for a sample outside the data set, ConfigError for augment without stream.
template <Scalar T>
Batch<T> gather(const Dataset& dataset, std::span<const Index> samples, Layout layout = Layout::channels_last,
                const Augment* augment = nullptr, rng::Stream* stream = nullptr) {
  detail::check_samples(dataset, samples, augment, stream);
  const auto count = static_cast<Index>(samples.size());
  const Shape& sample = dataset.sample;
  Batch<T> batch{Tensor<T>({count, sample[0], sample[1], sample[2]}, layout), Tensor<std::int32_t>({count})};
  std::vector<Placement> places;
  for (Index n = 0; n < count; ++n) {
    const Index i = samples[static_cast<std::size_t>(n)];
    batch.labels.data()[n] = dataset.labels[static_cast<std::size_t>(i)];
    if (augment) places.push_back(draw(*augment, *stream));
  }
  std::visit(
      [&](const auto& features) { detail::gather_inputs(batch.inputs, dataset, features, samples, places); },
      dataset.features);
  return batch;
}

}  // namespace loru::data
