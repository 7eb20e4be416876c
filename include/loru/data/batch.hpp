#pragma once
// Batch: chosen samples as tensors, normalised straight from the raw features.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <variant>
#include <vector>

#include <loru/core/compiled.hpp>
#include <loru/core/dual.hpp>
#include <loru/core/rng.hpp>
#include <loru/core/tensor.hpp>
#include <loru/data/dataset.hpp>
#include <loru/data/select.hpp>
#include <loru/data/transform.hpp>

namespace loru::inline LORU_ISA::data {

/// Samples and targets as tensors. Fields for which the data set has no values are empty.
template <class T, class D = Cpu>
struct Batch {
  Tensor<T, D> inputs = {};             // (N, C, H, W) or (N, n)
  Tensor<std::int32_t, D> labels = {};  // (N) classes; of a class a token: (tokens)
  Tensor<T, D> values = {};             // (N, k) numbers, or labels of which several hold as 1 and 0
  Tensor<std::int32_t, D> tokens = {};  // (tokens) of all sequences, one after the other
  std::vector<Index> starts = {};       // sequence i is the tokens [starts[i], starts[i + 1])
  Index known_classes = 0;              // labels are known to lie in [0, known_classes) unless it is 0

  Index size() const { return inputs ? inputs.dim(0) : static_cast<Index>(starts.size()) - 1; }
};

namespace detail {

/// Throws ShapeError for a sample outside the data set, ConfigError for an augmentation without a stream.
inline void check_samples(const Dataset& dataset, std::span<const Index> samples, const Augment* augment,
                          const rng::Stream* stream) {
  require<ConfigError>(!augment || stream, "gather: expected a random stream for the augmentation, got none");
  require<ConfigError>(!augment || dataset.sample.rank() == 3, "gather: ", dataset.name,
                       ": expected images for the augmentation, got samples of shape ", dataset.sample);
  for (const Index i : samples)
    require<ShapeError>(i >= 0 && i < dataset.size(), "gather: ", dataset.name, ": expected a sample in [0, ",
                        dataset.size(), "), got ", i);
}

/// raw -> (raw·unit − mean) / deviation of one channel.
template <class T>
class Normaliser {
 public:
  Normaliser(const Normalisation& n, std::size_t channel)
      : unit_{n.unit}, mean_{n.mean_of(channel)}, inverse_{n.inverse_of(channel)} {}

  template <class Raw>
  T operator()(Raw raw) const {
    return T(static_cast<Real<T>>((static_cast<double>(raw) * unit_ - mean_) * inverse_));
  }

 private:
  double unit_, mean_, inverse_;
};

/// Prefetches a sample that is read soon, since the samples of a batch lie anywhere in the data set.
template <class Raw>
void prefetch(const Raw* from, Index count) {
  for (Index i = 0; i < count; i += 64 / static_cast<Index>(sizeof(Raw))) __builtin_prefetch(from + i);
}

/// Images (C, H, W); a vector (n) is n channels of one pixel.
template <class T, class Raw>
void gather_inputs(Tensor<T>& inputs, const Dataset& dataset, const std::vector<Raw>& features,
                   std::span<const Index> samples, std::span<const Placement> places) {
  const bool image = dataset.sample.rank() == 3;
  const Index channels = dataset.channels(), height = image ? dataset.sample[1] : 1,
              width = image ? dataset.sample[2] : 1;
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

/// Tokens of the chosen sequences, packed.
template <class T>
void gather_sequences(Batch<T>& batch, const Dataset& dataset, std::span<const Index> samples) {
  batch.starts = starts_of(dataset, samples);
  const std::vector<std::int32_t> tokens =
      rows_of(std::get<std::vector<std::int32_t>>(dataset.features), 1, tokens_of(dataset, samples));
  batch.tokens = Tensor<std::int32_t>({static_cast<Index>(tokens.size())});
  std::copy(tokens.begin(), tokens.end(), batch.tokens.data());
}

/// Labels or values of the chosen samples.
template <class T>
void gather_targets(Batch<T>& batch, const Dataset& dataset, std::span<const Index> samples) {
  const auto fill = [&](auto& tensor, const Shape& shape, const auto& chosen) {
    tensor = std::decay_t<decltype(tensor)>(shape);
    using Value = typename std::decay_t<decltype(tensor)>::value_type;
    std::transform(chosen.begin(), chosen.end(), tensor.data(), [](auto x) {
      if constexpr (std::integral<Value>)
        return x;
      else
        return Value(static_cast<Real<Value>>(x));
    });
  };
  const auto count = static_cast<Index>(samples.size());
  if (const auto* numbers = std::get_if<Numbers>(&dataset.targets)) {
    fill(batch.values, {count, numbers->width}, rows_of(numbers->values, numbers->width, samples));
  } else if (const auto* flags = std::get_if<Flags>(&dataset.targets)) {
    fill(batch.values, {count, flags->width}, rows_of(flags->values, flags->width, samples));
  } else if (const auto* labels = std::get_if<TokenLabels>(&dataset.targets)) {
    const auto chosen = rows_of(labels->values, 1, tokens_of(dataset, samples));
    fill(batch.labels, {static_cast<Index>(chosen.size())}, chosen);
  } else {
    const Labels& all = dataset.labels();
    batch.labels = Tensor<std::int32_t>({count});
    for (Index n = 0; n < count; ++n)
      batch.labels.data()[n] = all[static_cast<std::size_t>(samples[static_cast<std::size_t>(n)])];
  }
}

}  // namespace detail

/// The given samples in the given order, normalised (Normalisation) and, with `augment`, changed at random.
/// `stream` is used once per sample, in order, so that the values do not depend on `layout`, the layout of
/// images. Throws ShapeError for a sample outside the data set, ConfigError for augment without a stream or
/// for samples that are not images.
template <Scalar T>
Batch<T> gather(const Dataset& dataset, std::span<const Index> samples, Layout layout = Layout::channels_last,
                const Augment* augment = nullptr, rng::Stream* stream = nullptr) {
  detail::check_samples(dataset, samples, augment, stream);
  Batch<T> batch;
  detail::gather_targets(batch, dataset, samples);
  if (dataset.sequences()) {
    detail::gather_sequences(batch, dataset, samples);
    return batch;
  }
  Shape shape{static_cast<Index>(samples.size())};
  for (const Index extent : dataset.sample) shape.push_back(extent);
  batch.inputs = Tensor<T>(shape, shape.rank() == 4 ? layout : Layout::row_major);
  std::vector<Placement> places;
  for (std::size_t n = 0; augment && n < samples.size(); ++n) places.push_back(draw(*augment, *stream));
  std::visit(
      [&](const auto& features) { detail::gather_inputs(batch.inputs, dataset, features, samples, places); },
      dataset.features);
  return batch;
}

/// What loru::compiled instantiates of this header.
#define LORU_COMPILED_GATHER_OF(TEMPLATE, T) \
  TEMPLATE Batch<T> gather<T>(const Dataset&, std::span<const Index>, Layout, const Augment*, rng::Stream*);
#define LORU_COMPILED_GATHER(TEMPLATE)     \
  LORU_COMPILED_GATHER_OF(TEMPLATE, float) \
  LORU_COMPILED_GATHER_OF(TEMPLATE, double)
#ifdef LORU_COMPILED
LORU_COMPILED_GATHER(extern template)
#endif

}  // namespace loru::inline LORU_ISA::data
