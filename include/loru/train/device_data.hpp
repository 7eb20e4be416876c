#pragma once
// Where batches come from: the data set itself on the host, a copy of it on another device.

#include <optional>
#include <variant>

#include <loru/cpu/cpu.hpp>
#include <loru/data/batch.hpp>
#include <loru/ops/ops.hpp>

namespace loru::inline LORU_ISA::train {

/// Samples of batches to come, one after the other, in the memory of device D: their numbers (N), or with
/// augmentation (N, 4) = number, down, right, flip. Empty where batches cannot be gathered from it.
template <class D>
struct Ahead {
  Tensor<std::int32_t, D> rows;
};

/// A data set whose batches device D gathers. The host reads the data set itself. Another device gets a copy
/// of raw features and labels at the beginning, and with each batch, or once for many, only the numbers of
/// its samples. Labels are looked at once, at the beginning. A batch has the same bits on every device. Keeps
/// a reference to the data set, which must outlive it. Copies share the device's memory.
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

  /// Whether the device gathers a batch out of rows that lie there.
  static constexpr bool gathers_rows = requires(Tensor<float, D> y, Tensor<std::int32_t, D> labels,
                                                Tensor<std::uint8_t, D> images, Tensor<double, D> numbers) {
    gather_batch(y, labels, images, labels, labels, labels, numbers);
  };

  /// Whether batches can be gathered from samples that were uploaded ahead of them.
  bool gathers_ahead() const { return gathers_rows && labels_ && known_classes_ > 0; }

  /// The samples of batches to come, with one draw of the stream for each. Throws as gather does.
  Ahead<D> ahead(std::span<const Index> samples, const data::Augment* augment, rng::Stream* stream) const {
    data::detail::check_samples(*dataset_, samples, augment, stream);
    const auto n = static_cast<Index>(samples.size());
    const Numbers places = places_of(samples, augment, stream);
    Numbers rows(places ? Shape{n, 4} : Shape{n});
    for (Index i = 0; i < n; ++i) {
      std::int32_t* const row = rows.data() + (places ? 4 * i : i);
      row[0] = static_cast<std::int32_t>(samples[static_cast<std::size_t>(i)]);
      if (places) std::copy_n(places.data() + 3 * i, 3, row + 1);
    }
    return {to_device<D>(rows)};
  }

  /// The batch of `size` of them from number position[0] on, which lies on the device. The data set gathers
  /// ahead.
  template <class T>
  data::Batch<T, D> gather(const Ahead<D>& ahead, const Tensor<std::int32_t, D>& position, Index size) const
    requires gathers_rows
  {
    data::Batch<T, D> batch;
    batch.labels = Tensor<std::int32_t, D>(Shape{size});
    batch.known_classes = known_classes_;
    gather_inputs(batch, size, [&](const auto& all) {
      gather_batch(batch.inputs, batch.labels, all, labels_, ahead.rows, position, normalisation_);
    });
    return batch;
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
    if (const auto* labels = std::get_if<data::Labels>(&dataset_->targets)) upload_labels(*labels);
    std::vector<double> rows;
    for (std::size_t c = 0; c < static_cast<std::size_t>(s[0]); ++c)
      rows.insert(rows.end(), {n.unit, n.mean_of(c), n.inverse_of(c)});
    normalisation_ = tensor_of(rows, {s[0], 3});
  }

  void upload_labels(const data::Labels& labels) {
    labels_ = tensor_of(labels, {dataset_->size()});
    const bool known = std::all_of(labels.begin(), labels.end(), [&](auto label) {
      return label >= 0 && static_cast<Index>(label) < dataset_->classes;
    });
    if (known) known_classes_ = dataset_->classes;
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
      batch.known_classes = known_classes_;
    } else {
      targets_from_host(batch, samples);
    }
    if (dataset_->sequences()) return batch;
    const auto places = to_device<D>(places_of(samples, augment, stream));
    gather_inputs(batch, there.size(),
                  [&](const auto& all) { gather_images(batch.inputs, all, there, places, normalisation_); });
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

  /// Inputs of `size` samples; fill(all) writes them from all features.
  template <class T, class Fill>
  void gather_inputs(data::Batch<T, D>& batch, Index size, const Fill& fill_from) const {
    std::visit(
        [&](const auto& all) {
          const Shape& s = all.shape();
          batch.inputs = Tensor<T, D>({size, s[1], s[2], s[3]}, Layout::channels_last);
          fill_from(all);
          if (dataset_->sample.rank() == 1) batch.inputs = batch.inputs.reshape({size, s[1]});
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
  Index known_classes_ = 0;          // labels lie in [0, known_classes_) unless it is 0
  Tensor<double, D> normalisation_;  // (C, 3) = unit, mean, 1 / deviation
};

}  // namespace loru::inline LORU_ISA::train
