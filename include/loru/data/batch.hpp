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

namespace loru::data {

/// inputs (N, C, H, W), labels (N).
template <class T>
struct Batch {
  Tensor<T> inputs;
  Tensor<std::int32_t> labels;

  Index size() const { return labels.size(); }
};

namespace detail {

/// raw -> (raw * unit - mean) / deviation of one channel, for bytes through a table.
template <class T, class Raw>
class Normaliser {
 public:
  Normaliser(const Normalisation& n, std::size_t channel)
      : unit_{n.unit}, mean_{n.mean[channel]}, deviation_{n.deviation[channel]} {
    if constexpr (std::is_same_v<Raw, std::uint8_t>)
      for (std::size_t raw = 0; raw < 256; ++raw) table_[raw] = compute(static_cast<double>(raw));
  }

  T operator()(Raw raw) const {
    if constexpr (std::is_same_v<Raw, std::uint8_t>)
      return table_[raw];
    else
      return compute(static_cast<double>(raw));
  }

 private:
  T compute(double raw) const { return T(static_cast<Real<T>>((raw * unit_ - mean_) / deviation_)); }

  double unit_, mean_, deviation_;
  std::conditional_t<std::is_same_v<Raw, std::uint8_t>, std::array<T, 256>, std::array<T, 0>> table_{};
};

template <class T, class Raw>
void gather_inputs(Tensor<T>& inputs, const Dataset& dataset, const std::vector<Raw>& features,
                   std::span<const Index> samples, std::span<const Placement> places) {
  const Index channels = dataset.sample[0], height = dataset.sample[1], width = dataset.sample[2];
  const Index plane = height * width, length = channels * plane;
  const bool last = inputs.layout() == Layout::channels_last;
  for (Index c = 0; c < channels; ++c) {
    const Normaliser<T, Raw> value{dataset.normalisation, static_cast<std::size_t>(c)};
    for (std::size_t n = 0; n < samples.size(); ++n) {
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
  require<ConfigError>(!augment || stream, "gather: expected a random stream for the augmentation, got none");
  const auto count = static_cast<Index>(samples.size());
  const Shape& sample = dataset.sample;
  Batch<T> batch{Tensor<T>({count, sample[0], sample[1], sample[2]}, layout), Tensor<std::int32_t>({count})};
  std::vector<Placement> places;
  for (Index n = 0; n < count; ++n) {
    const Index i = samples[static_cast<std::size_t>(n)];
    require<ShapeError>(i >= 0 && i < dataset.size(), "gather: ", dataset.name, ": expected a sample in [0, ",
                        dataset.size(), "), got ", i);
    batch.labels.data()[n] = dataset.labels[static_cast<std::size_t>(i)];
    if (augment) places.push_back(draw(*augment, *stream));
  }
  std::visit(
      [&](const auto& features) { detail::gather_inputs(batch.inputs, dataset, features, samples, places); },
      dataset.features);
  return batch;
}

}  // namespace loru::data
