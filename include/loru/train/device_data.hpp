#pragma once
// Where batches come from: the data set itself on the host, a copy of it on another device.

#include <optional>
#include <variant>

#include <loru/cpu/cpu.hpp>
#include <loru/data/batch.hpp>
#include <loru/ops/ops.hpp>

namespace loru::inline LORU_ISA::train {

/// A data set whose batches device D gathers. The host reads the data set; to another device raw features and labels go
/// once, and with each batch only the numbers of its samples. A batch is the same to the bit everywhere. Keeps a
/// reference to the data set, which must outlive it. Copies share the device's memory.
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

  void upload() {
    const Shape& s = dataset_->sample;
    const data::Normalisation& n = dataset_->normalisation;
    if (dataset_->size() == 0) return;
    std::visit([&](const auto& raw) { images_ = tensor_of(raw, {dataset_->size(), s[0], s[1], s[2]}); },
               dataset_->features);
    labels_ = tensor_of(dataset_->labels, {dataset_->size()});
    std::vector<double> rows;
    for (std::size_t c = 0; c < n.mean.size(); ++c)
      rows.insert(rows.end(), {n.unit, n.mean[c], 1.0 / n.deviation[c]});
    normalisation_ = tensor_of(rows, {s[0], 3});
  }

  template <class T>
  data::Batch<T, D> gather_there(std::span<const Index> samples, const data::Augment* augment,
                                 rng::Stream* stream) const {
    data::detail::check_samples(*dataset_, samples, augment, stream);
    const auto count = static_cast<Index>(samples.size());
    const Shape& s = dataset_->sample;
    Numbers chosen(Shape{count}), places;
    std::transform(samples.begin(), samples.end(), chosen.data(),
                   [](Index i) { return static_cast<std::int32_t>(i); });
    if (augment) {
      places = Numbers(Shape{count, 3});
      for (Index n = 0; n < count; ++n) {
        const data::Placement place = data::draw(*augment, *stream);
        places.data()[3 * n] = static_cast<std::int32_t>(place.down);
        places.data()[3 * n + 1] = static_cast<std::int32_t>(place.right);
        places.data()[3 * n + 2] = place.flip ? 1 : 0;
      }
    }
    const auto there = to_device<D>(chosen), moves = to_device<D>(places);
    data::Batch<T, D> batch{Tensor<T, D>({count, s[0], s[1], s[2]}, Layout::channels_last),
                            Tensor<std::int32_t, D>({count})};
    std::visit([&](const auto& images) { gather_images(batch.inputs, images, there, moves, normalisation_); },
               images_);
    gather_labels(batch.labels, labels_, there);
    return batch;
  }

  const data::Dataset* dataset_;
  std::variant<Tensor<std::uint8_t, D>, Tensor<float, D>> images_;
  Tensor<std::int32_t, D> labels_;
  Tensor<double, D> normalisation_;  // (C, 3) = unit, mean, 1 / deviation
};

}  // namespace loru::train
