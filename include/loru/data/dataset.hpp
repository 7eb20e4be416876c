#pragma once
// Dataset: raw samples, labels and, where the source knows them, the natural client of each sample.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <loru/core/error.hpp>
#include <loru/core/shape.hpp>

namespace loru::inline LORU_ISA::data {

/// value = (raw * unit - mean[c]) / deviation[c]: what a model sees of a raw feature of channel c.
struct Normalisation {
  double unit = 1.0;
  std::vector<double> mean = {};
  std::vector<double> deviation = {};
};

/// Labelled samples in memory, as bytes or floats. Samples follow each other, each (C, H, W) row-major.
struct Dataset {
  std::string name = {};
  Shape sample = {};  // (C, H, W)
  Index classes = 0;  // labels lie in [0, classes)
  std::variant<std::vector<std::uint8_t>, std::vector<float>> features = {};
  std::vector<std::int32_t> labels = {};
  std::vector<std::int32_t> groups = {};  // natural client of each sample; empty where the source names none
  Normalisation normalisation = {};

  /// Number of samples.
  Index size() const { return static_cast<Index>(labels.size()); }

  Index label(Index i) const { return labels[static_cast<std::size_t>(i)]; }

  /// Throws DataError unless counts fit together and every label is a class; names the first bad sample.
  void check() const {
    require<DataError>(sample.rank() == 3, name, ": expected samples of shape (C, H, W), got ", sample);
    const auto count =
        std::visit([](const auto& values) { return static_cast<Index>(values.size()); }, features);
    require<DataError>(count == size() * sample.size(), name, ": expected ", size() * sample.size(),
                       " features for ", size(), " samples of shape ", sample, ", got ", count);
    require<DataError>(groups.empty() || groups.size() == labels.size(), name, ": expected ", labels.size(),
                       " groups, one for each sample, got ", groups.size());
    const auto channels = static_cast<std::size_t>(sample[0]);
    require<DataError>(normalisation.mean.size() == channels && normalisation.deviation.size() == channels,
                       name, ": expected a mean and a deviation for each of ", channels, " channels, got ",
                       normalisation.mean.size(), " and ", normalisation.deviation.size());
    for (Index i = 0; i < size(); ++i)
      require<DataError>(label(i) >= 0 && label(i) < classes, name, ": sample ", i,
                         ": expected a label in [0, ", classes, "), got ", label(i));
  }
};

/// What is trained on and what is tested on.
struct Split {
  Dataset train, test;
};

/// A copy of some samples of a data set, in the order given.
inline Dataset select(const Dataset& from, std::span<const Index> samples) {
  Dataset out{from.name, from.sample, from.classes, {}, {}, {}, from.normalisation};
  const auto length = static_cast<std::size_t>(from.sample.size());
  std::visit(
      [&](const auto& values) {
        auto& chosen = out.features.emplace<std::decay_t<decltype(values)>>();
        chosen.reserve(samples.size() * length);
        for (Index i : samples) {
          const auto first = values.begin() + i * from.sample.size();
          chosen.insert(chosen.end(), first, first + from.sample.size());
        }
      },
      from.features);
  for (Index i : samples) {
    out.labels.push_back(from.labels[static_cast<std::size_t>(i)]);
    if (!from.groups.empty()) out.groups.push_back(from.groups[static_cast<std::size_t>(i)]);
  }
  return out;
}

/// Mean and standard deviation of raw * unit per channel over all samples; a constant channel gets deviation
/// 1.
inline Normalisation measure(const Dataset& dataset, double unit) {
  const Index channels = dataset.sample[0], plane = dataset.sample[1] * dataset.sample[2];
  const auto count = static_cast<double>(dataset.size() * plane);
  Normalisation result{unit, {}, {}};
  for (Index c = 0; c < channels; ++c) {
    double sum = 0.0, squares = 0.0;
    std::visit(
        [&](const auto& values) {
          for (Index i = 0; i < dataset.size(); ++i) {
            const auto* raw = values.data() + (i * channels + c) * plane;
            for (Index p = 0; p < plane; ++p) {
              const auto x = static_cast<double>(raw[p]);
              sum += x;
              squares += x * x;
            }
          }
        },
        dataset.features);
    const double mean = count > 0 ? sum / count : 0.0;
    const double variance = count > 0 ? squares / count - mean * mean : 0.0;
    result.mean.push_back(mean * unit);
    result.deviation.push_back(variance > 0.0 ? std::sqrt(variance) * unit : 1.0);
  }
  return result;
}

}  // namespace loru::data
