#pragma once
// Where batches come from: the data set itself on the host, a copy of it on another device.

#include <optional>
#include <variant>

#include <loru/cpu/cpu.hpp>
#include <loru/data/batch.hpp>
#include <loru/ops/ops.hpp>

namespace loru::inline LORU_ISA::train {

/// A data set whose batches device D gathers. The host reads the data set itself. Another device gets a copy
/// of raw features and labels at the beginning, and with each batch only the numbers of its samples. A batch
/// has the same bits on every device. Keeps a reference to the data set, which must outlive it. Copies share
/// the device's memory.
template <class D = Cpu>
class DeviceData {
 public:
  DeviceData(const data::Dataset& dataset) : dataset_{&dataset} {
    if constexpr (!std::same_as<D, Cpu>) upload();
  }

  const data::Dataset& dataset() const { return *dataset_; }
  Index size() const { return dataset_->size(); }

  /// data::gather, channels-last, with its exceptions.
  template <class T>
  data::Batch<T, D> gather(std::span<const Index> samples, const data::Augment* augment = nullptr,
                           rng::Stream* stream = nullptr) const {
    if constexpr (std::same_as<D, Cpu>)
      return data::gather<T>(*dataset_, samples, Layout::channels_last, augment, stream);
    else
      return gather_there<T>(samples, augment, stream);
  }

 private:
  using Numbers = Tensor<std::int32_t>;

  template <class Range>
  static auto tensor_of(const Range& values, const Shape& shape) {
    Tensor<std::ranges::range_value_t<Range>> t(shape);
    std::copy(values.begin(), values.end(), t.data());
    return to_device<D>(t);
  }

  /// Images (N, C, H, W); vectors as (N, n, 1, 1). Sequences stay on the host.
  void upload() {
    const Shape& s = dataset_->sample;
    const data::Normalisation& n = dataset_->normalisation;
    if (dataset_->size() == 0 || dataset_->sequences()) return;
    const bool image = s.rank() == 3;
    const Shape shape{dataset_->size(), s[0], image ? s[1] : 1, image ? s[2] : 1};
    if (const auto* bytes = std::get_if<std::vector<std::uint8_t>>(&dataset_->features))
      inputs_ = tensor_of(*bytes, shape);
    else
      inputs_ = tensor_of(std::get<std::vector<float>>(dataset_->features), shape);
    if (const auto* labels = std::get_if<data::Labels>(&dataset_->targets))
      labels_ = tensor_of(*labels, {dataset_->size()});
    std::vector<double> rows;
    for (std::size_t c = 0; c < static_cast<std::size_t>(s[0]); ++c)
      rows.insert(rows.end(), {n.unit, n.mean_of(c), n.inverse_of(c)});
    normalisation_ = tensor_of(rows, {s[0], 3});
  }

  template <class T>
  data::Batch<T, D> gather_there(std::span<const Index> samples, const data::Augment* augment,
                                 rng::Stream* stream) const {
    data::detail::check_samples(*dataset_, samples, augment, stream);
    Numbers chosen(Shape{static_cast<Index>(samples.size())});
    std::transform(samples.begin(), samples.end(), chosen.data(),
                   [](Index i) { return static_cast<std::int32_t>(i); });
    const auto there = to_device<D>(chosen);
    data::Batch<T, D> batch;
    if (labels_) {
      batch.labels = Tensor<std::int32_t, D>(there.shape());
      gather_labels(batch.labels, labels_, there);
    } else {
      targets_from_host(batch, samples);
    }
    if (dataset_->sequences()) return batch;
    gather_inputs(batch, there, to_device<D>(places_of(samples, augment, stream)));
    return batch;
  }

  /// Targets other than classes, and sequences, are few bytes a sample: gathered on the host.
  template <class T>
  void targets_from_host(data::Batch<T, D>& batch, std::span<const Index> samples) const {
    data::Batch<T> here;
    data::detail::gather_targets(here, *dataset_, samples);
    if (dataset_->sequences()) data::detail::gather_sequences(here, *dataset_, samples);
    if (here.labels) batch.labels = to_device<D>(here.labels);
    if (here.values) batch.values = to_device<D>(here.values);
    if (here.tokens) batch.tokens = to_device<D>(here.tokens);
    batch.starts = std::move(here.starts);
  }

  template <class T>
  void gather_inputs(data::Batch<T, D>& batch, const Tensor<std::int32_t, D>& samples,
                     const Tensor<std::int32_t, D>& places) const {
    std::visit(
        [&](const auto& all) {
          const Shape& s = all.shape();
          batch.inputs = Tensor<T, D>({samples.size(), s[1], s[2], s[3]}, Layout::channels_last);
          gather_images(batch.inputs, all, samples, places, normalisation_);
          if (dataset_->sample.rank() == 1) batch.inputs = batch.inputs.reshape({samples.size(), s[1]});
        },
        inputs_);
  }

  /// (N, 3) = down, right, flip of each sample, or nothing without augmentation.
  static Numbers places_of(std::span<const Index> samples, const data::Augment* augment,
                           rng::Stream* stream) {
    if (!augment) return {};
    Numbers places(Shape{static_cast<Index>(samples.size()), 3});
    for (std::int32_t* at = places.data(); at != places.data() + places.size(); at += 3) {
      const data::Placement place = data::draw(*augment, *stream);
      at[0] = static_cast<std::int32_t>(place.down);
      at[1] = static_cast<std::int32_t>(place.right);
      at[2] = place.flip ? 1 : 0;
    }
    return places;
  }

  const data::Dataset* dataset_;
  std::variant<Tensor<std::uint8_t, D>, Tensor<float, D>> inputs_;
  Tensor<std::int32_t, D> labels_;
  Tensor<double, D> normalisation_;  // (C, 3) = unit, mean, 1 / deviation
};

}  // namespace loru::inline LORU_ISA::train
